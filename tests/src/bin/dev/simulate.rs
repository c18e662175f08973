//! The simulation of the relay's core, which is a program of its own in `tests/simulation/`.

use std::process::Command;

use anyhow::{Context, bail};
use pgevents_tests::dist;

use crate::build::{self, cargo};
use crate::packages;
use crate::progress::{BAD, GOOD, Progress};

/// Seeds that the checks try before a fault counts as one that they do not see.
const SEEDS: &str = "20000";

/// Faults on purpose, each a feature of the relay.
const MUTANTS: [&str; 12] = [
    "mutant-ack-row-lsn",
    "mutant-ack-before-confirm",
    "mutant-ack-keepalive-in-flight",
    "mutant-ignore-nack",
    "mutant-ignore-return",
    "mutant-ack-maximum",
    "mutant-dedupe-by-row-lsn",
    "mutant-forget-last-row",
    "mutant-resume-past",
    "mutant-split-transaction",
    "mutant-swallow-decode-error",
    "mutant-window-without-span",
];

/// A fault of a task that the simulation does not have, and the end-to-end test that has to see it.
const TASK_MUTANT: &str = "mutant-status-from-publisher";
const TASK_CHECK: &str = "a_blocked_broker_costs_no_stream_and_no_duplicate";

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

/// Plants one fault after the other, and says which check saw it first; before, that the checks see
/// nothing without one.
///
/// # Errors
///
/// When a fault goes unseen, or something is seen where none is.
pub fn mutants(progress: &Progress) -> anyhow::Result<()> {
    let healthy = simulate(progress, "without a fault", None)?;
    if let Some(finding) = healthy {
        bail!("a promise is broken without any fault: {finding}");
    }
    let mut unseen = Vec::new();
    for mutant in MUTANTS {
        match simulate(progress, mutant, Some(mutant))? {
            Some(finding) => anstream::println!("{GOOD}✓{GOOD:#} {mutant}: simulation, {finding}"),
            None => {
                anstream::println!("{BAD}✗{BAD:#} {mutant}: {SEEDS} seeds do not see it");
                unseen.push(mutant);
            }
        }
    }
    match end_to_end(progress)? {
        true => anstream::println!("{GOOD}✓{GOOD:#} {TASK_MUTANT}: test {TASK_CHECK}"),
        false => unseen.push(TASK_MUTANT),
    }
    let all = MUTANTS.len() + 1;
    anstream::println!("{} of {all} faults were seen", all - unseen.len());
    match unseen.is_empty() {
        true => Ok(()),
        false => bail!("unseen: {}", unseen.join(", ")),
    }
}

/// Plants the fault of the task; whether the test sees it, which passes without it.
fn end_to_end(progress: &Progress) -> anyhow::Result<bool> {
    let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
    build::dist(progress, &postgres)?;
    let mut build = cargo("build");
    build.args(["--package", "pgevents-relay", "--bin", "pgevents"]);
    let feature = format!("--features={TASK_MUTANT}");
    progress.step(TASK_MUTANT, build.arg(feature))?;
    let check = |relay: std::path::PathBuf| {
        let mut test = cargo("test");
        test.args(["--package", "pgevents-tests", "--test", "e2e", TASK_CHECK]);
        test.env("PGEVENTS_TEST_PG_CONFIG", &postgres.pg_config);
        test.env("PGEVENTS_TEST_RELAY", relay);
        test
    };
    progress.step(TASK_CHECK, &mut check(dist::shipped_relay()))?;
    let faulty = dist::target().join("debug/pgevents");
    let outcome = progress.watch(TASK_CHECK, &mut check(faulty))?;
    Ok(outcome.output.contains("1 failed"))
}

/// Runs the simulation with a fault; returns what it saw.
fn simulate(
    progress: &Progress,
    name: &str,
    mutant: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let mut command = cargo("build");
    // Not in release: what is built so is what ships.
    let package = ["--package", "pgevents-simulation", "--bin", "simulate"];
    let features = mutant.map(|mutant| format!("--features={mutant}"));
    progress.step(name, command.args(package).args(&features))?;
    let mut command = cargo("run");
    command.arg("--quiet").args(package).args(&features);
    command.args(["--", "--seeds", SEEDS]);
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
