//! `cargo dev deny`: licences, duplicates, sources and advisories of every dependency.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use pgevents_dev::dist;

use crate::build::cargo;
use pgevents_dev::progress::{FAINT, Outcome, Progress};

/// Begins the one line of a complaint on a duplicate that is worth showing; the rest is trees.
const DUPLICATE: &str = "warning[duplicate]: ";

/// Looks at every dependency with cargo-deny, which it builds into `target/tools` first if it is
/// not there, and `.cargo/deny.toml`. Where no database of advisories can be had, it says so and
/// checks the rest.
///
/// # Errors
///
/// When something is not as `.cargo/deny.toml` asks; the complaints have then been shown.
pub fn run(progress: &Progress) -> anyhow::Result<()> {
    let program = program(progress)?;
    let here = progress.step(
        "licences, duplicates, sources",
        check(&program).args(["check", "licenses", "bans", "sources"]),
    )?;
    for duplicate in here
        .output
        .lines()
        .filter_map(|line| line.strip_prefix(DUPLICATE))
    {
        println!("  {duplicate}");
    }
    advisories(progress, &program)
}

/// With the database as it is now, else with the one that an earlier run has left.
fn advisories(progress: &Progress, program: &Path) -> anyhow::Result<()> {
    let name = "advisories";
    let ask = |flags: &[&str]| {
        let mut command = check(program);
        command.args(flags).args(["check", "advisories"]);
        progress.watch(name, &mut command)
    };
    let mut outcome = ask(&[])?;
    let mut remark = "";
    if !has_looked(&outcome) {
        outcome = ask(&["--offline"])?;
        remark = "with a database from before: a new one cannot be fetched";
    }
    if !has_looked(&outcome) {
        anstream::println!(
            "{FAINT}–{FAINT:#} {name}: not looked at: no database can be fetched, and none is there from before"
        );
        progress.show(&outcome.output);
        return Ok(());
    }
    let good = outcome.status.success();
    progress.report(name, good, outcome.took, remark);
    if !good {
        progress.show(&outcome.output);
        bail!("{name}: {}", outcome.status);
    }
    Ok(())
}

/// Whether it came to a verdict; without a database it comes to none.
fn has_looked(outcome: &Outcome) -> bool {
    let verdicts = ["advisories ok", "advisories FAILED"];
    outcome
        .output
        .lines()
        .any(|line| verdicts.contains(&line.trim()))
}

fn program(progress: &Progress) -> anyhow::Result<PathBuf> {
    let tools = dist::target().join("tools");
    let installed = tools.join("bin/cargo-deny");
    let program = dist::program("cargo-deny").unwrap_or(installed);
    if !program.is_file() {
        let mut install = cargo("install");
        install
            .args(["cargo-deny", "--locked", "--root"])
            .arg(&tools);
        progress.step("build cargo-deny (some minutes, once)", &mut install)?;
    }
    Ok(program)
}

fn check(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dist::workspace());
    command.args(["--all-features", "--config", ".cargo/deny.toml"]);
    command
}
