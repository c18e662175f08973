//! Trials with servers, which are a program of their own in `tests/`.

use std::process::{Command, ExitCode};

use anyhow::Context;
use pgevents_dev::progress::Progress;

use crate::build::{self, cargo};
use crate::packages;

/// What only asks about a trial, and so needs no builds.
const QUESTIONS: [&str; 4] = ["--help", "-h", "help", "--list"];

/// Builds what ships and tries it out; `arguments` go to the trial as they are.
///
/// # Errors
///
/// When something cannot be installed or built.
pub fn run(progress: &Progress, name: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    if !arguments
        .iter()
        .any(|word| QUESTIONS.contains(&word.as_str()))
    {
        let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
        if name == "valgrind" {
            packages::ensure_program(progress, "valgrind", "finds misuse of memory")?;
        }
        build::dist(progress, &postgres)?;
    }
    let mut trial = command(name);
    let status = trial.args(arguments).status().context("start the trial")?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The call of a trial.
pub fn command(name: &str) -> Command {
    let mut trial = cargo("run");
    trial.args(["--quiet", "--package", "pgevents-tests", "--bin", "trial"]);
    trial.args(["--", name]);
    trial
}
