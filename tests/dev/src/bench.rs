//! The comparisons with others, which are a program of their own in `benches/`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::build::{self, cargo};
use crate::packages;
use pgevents_dev::progress::Progress;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Comparison {
    /// Output plugins: CPU time, wall time, bytes
    Decode,
    /// How the cost of decoding grows with rows, tables and columns
    Scale,
    /// From commit to consumer: rate and latency beside the broker's ceiling
    E2e,
    /// Count instructions a row anew, and write them as those that the tests compare with
    Instructions,
}

/// The counting of instructions, in release.
pub fn instructions(what: &str) -> Command {
    let mut command = cargo("run");
    command.args(["--release", "--quiet", "--package", "pgevents-benches"]);
    command.args(["--bin", "instructions", "--", what]);
    command
}

/// Builds everything in release and runs the comparison, or all of them, beside the build in the
/// folder `before` if there is one; `arguments` go to the program as they are.
///
/// # Errors
///
/// When a package, a build or the comparison fails.
pub fn run(
    progress: &Progress,
    comparison: Option<Comparison>,
    before: Option<&Path>,
    arguments: &[String],
) -> anyhow::Result<()> {
    if comparison == Some(Comparison::Instructions) {
        packages::ensure_program(progress, "valgrind", "counts instructions")?;
        progress.step("count instructions", &mut instructions("record"))?;
        return Ok(());
    }
    let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
    packages::ensure_plugins(progress, &postgres, &["wal2json", "decoderbufs"])?;
    build::dist(progress, &postgres)?;
    let package = [
        "--release",
        "--package",
        "pgevents-compare",
        "--bin",
        "compare",
    ];
    progress.step("build the comparisons", cargo("build").args(package))?;
    let chosen = comparison.map_or(
        vec![Comparison::Decode, Comparison::Scale, Comparison::E2e],
        |one| vec![one],
    );
    for comparison in chosen {
        let name = match comparison {
            Comparison::Decode => "decode",
            Comparison::Scale => "scale",
            Comparison::E2e => "e2e",
            Comparison::Instructions => continue,
        };
        let mut command: Command = cargo("run");
        command
            .args(package)
            .args(["--quiet", "--", name])
            .args(arguments)
            .envs(before.map(|folder| ("PGEVENTS_BEFORE", folder)));
        let status = command.status().context("start the comparison")?;
        if !status.success() {
            bail!("compare {name}: {status}");
        }
    }
    Ok(())
}
