//! Fault after fault under load, each followed by the checks.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::error::ChaosError;
use super::fault::{Blow, Repeats};
use super::load::LARGEST_TRANSACTION;
use super::oracle;
use super::report::{Report, Round};
use super::schedule::{Deed, Schedule};
use super::stage::{PATIENCE, STREAMING, Stage};
use super::violation::Violation;

/// Messages without a confirmation that the relay allows itself by default.
const WINDOW: u64 = 2_000;

/// What arrived so shortly before a fault may not have been reported to PostgreSQL: the relay
/// reports every 100 ms, and the witness sees an event later than the relay its confirm.
const UNREPORTED: Duration = Duration::from_millis(500);

/// What the relay may take in memory.
const MEMORY_CAP: u64 = 64 << 20;

/// After so many rounds the oracles are read, so that the server need not keep their WAL.
const ORACLE_EVERY: u64 = 20;

/// What to do, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Chooses faults, their moments and parameters, and the load. The machine's own timing is not
    /// part of it: a seed replays what is done, not every interleaving.
    pub seed: u64,
    /// End after so many rounds.
    pub rounds: Option<u64>,
    /// Begin no round after this time.
    pub time: Option<Duration>,
    /// What to do.
    pub schedule: Schedule,
    /// Rows a second.
    pub rate: u64,
    /// Longest random time between the end of one round and the next fault; cuts follow at once.
    pub pause: Duration,
    /// Where the logs of all parts go.
    pub logs: PathBuf,
    /// The relay under test.
    pub relay: PathBuf,
    /// Lines of postgresql.conf beside the campaign's own.
    pub settings: String,
}

/// Runs a campaign; `progress` is shown every round.
///
/// # Errors
///
/// A violation, or a failure of the campaign's own; the logs of all parts are in the folder of the
/// plan, then too.
pub async fn run(plan: &Plan, mut progress: impl FnMut(&Round)) -> Result<Report, ChaosError> {
    let mut stage = Stage::set(plan).await?;
    let mut report = Report::new(plan.seed);
    let outcome = play(&mut stage, plan, &mut report, &mut progress).await;
    let written = stage.chronicle.write(&plan.logs);
    outcome?;
    written.map_err(ChaosError::Logs)?;
    Ok(report)
}

async fn play(
    stage: &mut Stage,
    plan: &Plan,
    report: &mut Report,
    progress: &mut impl FnMut(&Round),
) -> Result<(), ChaosError> {
    let begun = Instant::now();
    stage.ledger.reaches(1, PATIENCE).await?;
    let mut number = 0;
    let rounds = plan.rounds.unwrap_or(u64::MAX);
    let rounds = rounds.min(plan.schedule.rounds().unwrap_or(u64::MAX));
    loop {
        if number >= rounds || plan.time.is_some_and(|time| begun.elapsed() > time) {
            break;
        }
        // Every round has its own numbers, whatever the rounds before it drew.
        let mut rng = Rng::with_seed(plan.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let deed = plan.schedule.deed(number, &mut rng);
        number += 1;
        if let Deed::Fault(_) = deed {
            sleep(plan.pause.mul_f64(rng.f64())).await;
        }
        let round = play_round(stage, plan, number, deed, &mut rng).await?;
        progress(&round);
        report.add(round);
        if number.is_multiple_of(ORACLE_EVERY) {
            oracle::read(&stage.client, &stage.ledger, None).await?;
        }
    }
    finish(stage).await?;
    report.finish(
        begun.elapsed(),
        stage.load.committed(),
        stage.ledger.check(|checker| checker.duplicates()),
        stage.peak_memory,
    );
    Ok(())
}

/// One fault, until the consumer is as far as the writer again.
async fn play_round(
    stage: &mut Stage,
    plan: &Plan,
    number: u64,
    deed: Deed,
    rng: &mut Rng,
) -> Result<Round, ChaosError> {
    let relay = stage.relay.pid();
    let sessions = stage.sessions();
    let duplicates = stage.ledger.check(|checker| checker.duplicates());
    let unreported = stage.ledger.arrived_within(UNREPORTED);
    let rate = stage.ledger.arrived_within(Duration::from_secs(1));
    let blow = deed.befall(stage, rng).await?;
    let mut committed = blow.committed;
    if deed.ends_session() {
        stage.relay_says(blow.said, STREAMING).await?;
        // What the old session still brought is no sign of recovery.
        committed = committed.max(stage.ledger.check(|checker| checker.last()));
    }
    let first_new = stage.ledger.reaches(committed + 1, PATIENCE).await?;
    // Whatever the fault makes the relay repeat comes before what was committed later.
    catch_up(stage, plan.rate, deed).await?;
    let sessions = match stage.relay.pid() == relay {
        true => stage.sessions() - sessions,
        false => stage.sessions(),
    };
    let duplicates = stage.ledger.check(|checker| checker.duplicates()) - duplicates;
    let bound = bound(blow, sessions, unreported);
    check(stage, duplicates, bound)?;
    Ok(Round {
        number,
        name: deed.name(),
        duplicates,
        bound,
        sessions,
        rate,
        outage: first_new - blow.began,
        recovery: first_new.saturating_duration_since(blow.over),
    })
}

/// Waits until the consumer is where the writer was at this moment. After most faults the writer
/// rests if it is more than half a second ahead: the next fault is to meet a relay at work, not one
/// that still makes up for the last. A sweep may well meet one that does.
async fn catch_up(stage: &Stage, rate: u64, deed: Deed) -> Result<(), ChaosError> {
    let committed = stage.load.committed();
    let arrived = stage.ledger.check(|checker| checker.last());
    // An event can be here before the writer is told that it is committed.
    let near = committed.saturating_sub(arrived) <= rate / 2;
    if near || matches!(deed, Deed::Cut(_)) {
        stage.ledger.reaches(committed, PATIENCE).await?;
        return Ok(());
    }
    let committed = stage.load.pause().await;
    stage.ledger.reaches(committed, PATIENCE).await?;
    stage.load.resume();
    // At work again, and met in the middle of it.
    stage.ledger.reaches(committed + rate / 4, PATIENCE).await?;
    Ok(())
}

/// Repeats that are explained: each session that ended may have had a full window, one open
/// transaction whose rows were confirmed already, and confirms that no report had mentioned.
fn bound(blow: Blow, sessions: u64, unreported: u64) -> u64 {
    match blow.repeats {
        Repeats::Never => 0,
        Repeats::OfSessions => sessions * (WINDOW + LARGEST_TRANSACTION + unreported),
    }
}

fn check(stage: &mut Stage, duplicates: u64, bound: u64) -> Result<(), Violation> {
    if duplicates > bound {
        return Err(Violation::Repeats { duplicates, bound });
    }
    if let Some(status) = stage.relay.status() {
        return Err(Violation::Ended {
            found: status.to_string(),
            expected: "a running relay".to_owned(),
        });
    }
    let (crashes, made) = (stage.crashes_in_log(), stage.crashes);
    if crashes != made {
        return Err(Violation::Crashed { crashes, made });
    }
    stage.note_relay();
    match stage.peak_memory > MEMORY_CAP {
        true => Err(Violation::Memory {
            peak: stage.peak_memory,
            cap: MEMORY_CAP,
        }),
        false => Ok(()),
    }
}

/// No fault any more: everything that was ever committed has to be there.
async fn finish(stage: &mut Stage) -> Result<(), ChaosError> {
    let written = stage.load.pause().await;
    stage.ledger.reaches(written, PATIENCE).await?;
    stage.relay.signal(rustix::process::Signal::TERM);
    stage.relay_stops().await?;
    oracle::read(&stage.client, &stage.ledger, None).await?;
    stage.witness.detach().await?;
    // A violation that came last is noted, and nobody has asked yet.
    stage.ledger.reaches(written, PATIENCE).await?;
    stage.ledger.check(|checker| checker.complete(written))?;
    Ok(())
}
