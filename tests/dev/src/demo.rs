//! The demo: quick builds, then a program of its own in `tests/servers/`.

use std::process::{Command, ExitCode};

use anyhow::Context;
use pgevents_dev::{
    dist,
    progress::{FAINT, Progress},
};

use crate::build::{self, cargo};
use crate::packages;

/// Builds the plugin and the relay quickly, apart from what ships, and shows the way of a row.
///
/// # Errors
///
/// When something cannot be installed or built.
pub fn run(progress: &Progress, once: bool) -> anyhow::Result<ExitCode> {
    let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
    anstream::println!(
        "{FAINT}  A quick build, with few optimisations: what ships, `cargo dev dist` builds.{FAINT:#}"
    );
    build::quick(progress, &postgres)?;
    let mut servers = cargo("build");
    servers.args(["--package", "pgevents-servers", "--bin", "demo"]);
    progress.step("build the demo", &mut servers)?;
    let mut demo = Command::new(dist::target().join("debug/demo"));
    demo.args(once.then_some("--once"));
    demo.env(dist::FOLDER, dist::quick_folder());
    let status = demo.status().context("start the demo")?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
