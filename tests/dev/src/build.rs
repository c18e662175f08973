//! The release builds, and the generated source.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use pgevents_dev::dist::{self, Installation};

use crate::patch::Patch;
use pgevents_dev::progress::Progress;

/// Builds the plugin for one PostgreSQL and the relay, and puts both into `target/dist`.
///
/// # Errors
///
/// When a build fails; its output has then been shown.
pub fn dist(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    plugin(progress, postgres)?;
    relay(progress)
}

/// Builds the plugin for one PostgreSQL and puts it into `target/dist`.
///
/// # Errors
///
/// When the build fails; its output has then been shown.
pub fn plugin(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    if !(13..=18).contains(&postgres.major) {
        bail!(
            "PostgreSQL {}: the plugin supports 13 to 18",
            postgres.version
        );
    }
    let name = format!("build the plugin for PostgreSQL {}", postgres.version);
    progress.step(&name, plugin_cargo("build", postgres).arg("--lib"))?;
    let built = dist::target().join("release/libpgevents.so");
    ship(&built, &dist::plugin(postgres.major))
}

fn relay(progress: &Progress) -> anyhow::Result<()> {
    let mut build = cargo("build");
    build.args(["--release", "--package", "pgevents-relay"]);
    progress.step("build the relay", build.args(["--bin", "pgevents"]))?;
    ship(
        &dist::target().join("release/pgevents"),
        &dist::shipped_relay(),
    )?;
    manual(progress)
}

/// Builds the plugin for one PostgreSQL and the relay in the profile `quick`, into a folder of
/// their own.
///
/// # Errors
///
/// When a build fails; its output has then been shown.
pub fn quick(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    const PROFILE: [&str; 2] = ["--profile", "quick"];
    let (built, to) = (dist::target().join("quick"), dist::quick_folder());
    let name = format!("build the plugin for PostgreSQL {}", postgres.version);
    let mut plugin = cargo("build");
    for_plugin(plugin.args(PROFILE), postgres);
    progress.step(&name, plugin.arg("--lib"))?;
    let major = format!("pg{}", postgres.major);
    put(
        &built.join("libpgevents.so"),
        &to.join(major).join("pgevents.so"),
    )?;
    let mut relay = cargo("build");
    relay.args(PROFILE).args(["--package", "pgevents-relay"]);
    progress.step("build the relay", relay.args(["--bin", "pgevents"]))?;
    put(&built.join("pgevents"), &to.join("pgevents"))
}

/// Manual pages and completions beside the relay, from the relay itself.
fn manual(progress: &Progress) -> anyhow::Result<()> {
    let (pages, folder) = (
        dist::folder().join("man"),
        dist::folder().join("completions"),
    );
    for place in [&pages, &folder] {
        make_empty(place)?;
    }
    let relay = || Command::new(dist::shipped_relay());
    progress.step("write manual pages", relay().arg("man").arg(&pages))?;
    for shell in ["bash", "fish", "zsh"] {
        let output = relay().args(["completions", shell]).output();
        let output = output.with_context(|| format!("write completions for {shell}"))?;
        let file = folder.join(format!("pgevents.{shell}"));
        fs::write(&file, output.stdout).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Makes a folder without files: a page of a command that is no more would be shipped too.
///
/// # Errors
///
/// When it cannot be made or emptied.
pub fn make_empty(folder: &Path) -> anyhow::Result<()> {
    let empty = || format!("empty {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(empty)?;
    }
    fs::create_dir_all(folder).with_context(empty)
}

/// Puts a build result into `target/dist` and says so.
fn ship(from: &Path, to: &Path) -> anyhow::Result<()> {
    put(from, to)?;
    let length = fs::metadata(to)
        .with_context(|| format!("read {}", to.display()))?
        .len();
    let shown = to.strip_prefix(dist::workspace()).unwrap_or(to);
    println!("  {} ({} KiB)", shown.display(), length / 1024);
    Ok(())
}

/// Builds the plugin with faults on purpose for the tests of what a fault leaves behind. Cargo
/// keeps one library of that name, so this comes before [`plugin()`] and never after it.
///
/// # Errors
///
/// When the patch does not apply or the build fails; its output has then been shown.
pub fn faulty_plugin(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    let patch = Patch::read(dist::patch_of_faults())?;
    let to = dist::faulty_plugin(postgres.major);
    patched_plugin(progress, postgres, &patch, &to)
}

/// Builds the plugin with a patch and puts it to `to`; before [`plugin()`].
///
/// # Errors
///
/// When the patch does not apply or the build fails; its output has then been shown.
pub fn patched_plugin(
    progress: &Progress,
    postgres: &Installation,
    patch: &Patch,
    to: &Path,
) -> anyhow::Result<()> {
    let name = format!("build the plugin with {}.patch", patch.name());
    let copy = patch.plant()?;
    let mut build = plugin_cargo("build", postgres);
    // Cargo takes a package at the same place of another workspace for the same one: another
    // profile makes it another one, and keeps what both depend on.
    for package in ["pgevents", "pgevents-proto"] {
        let profile = format!("profile.release.package.{package}.debug=\"none\"");
        build.args(["--config", &profile]);
    }
    progress.step(&name, copy.builds_beside(build.arg("--lib")))?;
    put(&dist::target().join("release/libpgevents.so"), to)
}

/// Writes the generated types of the wire contract, and the reference of all settings.
///
/// The test that compares the types with the contract writes them when they differ, and fails; they
/// are right when it passes after that. The relay prints the reference itself.
///
/// # Errors
///
/// When the contract or the relay cannot be compiled.
pub fn codegen(progress: &Progress) -> anyhow::Result<()> {
    let test = || {
        let mut command = cargo("test");
        command.args([
            "--package",
            "pgevents-proto",
            "--test",
            "generated",
            "committed_types_are_those_of_the_contract",
        ]);
        command
    };
    progress.watch("compile proto/pgevents.proto", &mut test())?;
    progress.step("compare proto/src/v1.rs", &mut test())?;
    let mut build = cargo("build");
    build.args(["--package", "pgevents-relay", "--bin", "pgevents"]);
    progress.step("build the relay", &mut build)?;
    let relay = Command::new(dist::target().join("debug/pgevents"))
        .arg("reference")
        .output()
        .context("ask the relay for its reference")?;
    let file = dist::workspace().join("docs/configuration.md");
    fs::write(&file, relay.stdout).with_context(|| format!("write {}", file.display()))
}

/// Cargo in the workspace.
pub fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(dist::workspace());
    command
}

/// Cargo for the plugin, which needs to know whose headers to use. Always in release: the headers
/// are then read once for build, clippy and documentation.
pub fn plugin_cargo(subcommand: &str, postgres: &Installation) -> Command {
    let mut command = cargo(subcommand);
    for_plugin(command.arg("--release"), postgres);
    command
}

fn for_plugin(command: &mut Command, postgres: &Installation) {
    command
        .args([
            "--package",
            "pgevents",
            "--no-default-features",
            "--features",
        ])
        .arg(format!("pg{}", postgres.major))
        .env("PGRX_PG_CONFIG_PATH", &postgres.pg_config);
}

/// Replaces `to` in one step, so that a server that has the old plugin loaded keeps it.
fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    let folder = to.parent().context("a build result has a folder")?;
    let place = || format!("write {}", to.display());
    fs::create_dir_all(folder).with_context(place)?;
    // Two of these commands may run at once.
    let new = folder.join(format!(".new-{}", std::process::id()));
    fs::copy(from, &new)
        .and_then(|_| fs::rename(&new, to))
        .with_context(place)
}
