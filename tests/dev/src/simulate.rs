//! The simulation of the relay's core, which is a program of its own in `tests/simulation/`.

use std::process::Command;

use anyhow::{Context, bail};

use crate::build::cargo;
use crate::patch::Patch;
use pgevents_dev::progress::Progress;

/// Seeds that the checks try before a fault counts as one that they do not see.
const SEEDS: &str = "20000";

/// Builds the simulation in release and runs it; `arguments` go to it as they are.
///
/// # Errors
///
/// When the build fails, or a promise is broken.
pub fn run(progress: &Progress, arguments: &[String]) -> anyhow::Result<()> {
    let mut build = cargo("build");
    build.args(["--release", "--package", "pgevents-simulation"]);
    progress.step("build the simulation", &mut build)?;
    let mut command: Command = cargo("run");
    command
        .args(["--quiet", "--release", "--package", "pgevents-simulation"])
        .args(["--bin", "simulate", "--"])
        .args(arguments);
    let status = command.status().context("start the simulation")?;
    if !status.success() {
        bail!("the simulation: {status}");
    }
    Ok(())
}

/// Runs the simulation, with a fault or without; returns what it saw.
///
/// # Errors
///
/// When it cannot be built, or ends in another way than by a broken promise.
pub fn look(
    progress: &Progress,
    name: &str,
    fault: Option<&Patch>,
) -> anyhow::Result<Option<String>> {
    let copy = fault.map(Patch::plant).transpose()?;
    let in_copy = |command: &mut Command| {
        if let Some(copy) = &copy {
            copy.builds(command);
        }
    };
    let package = ["--package", "pgevents-simulation", "--bin", "simulate"];
    // Not in release: what is built so is what ships.
    let mut command = cargo("build");
    command.args(package);
    in_copy(&mut command);
    progress.step(&format!("simulation, {name}"), &mut command)?;
    let mut command = cargo("run");
    command.arg("--quiet").args(package);
    command.args(["--", "--seeds", SEEDS]);
    in_copy(&mut command);
    let outcome = command.output().context("start the simulation")?;
    if outcome.status.success() {
        return Ok(None);
    }
    let output = String::from_utf8_lossy(&outcome.stdout);
    let finding = output.lines().find(|line| line.starts_with("seed "));
    match finding {
        Some(finding) => Ok(Some(finding.to_owned())),
        None => bail!("the simulation: {}: {output}", outcome.status),
    }
}
