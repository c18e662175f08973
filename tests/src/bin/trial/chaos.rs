//! The fault campaign from the command line.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use pgevents_tests::chaos::campaign::{self, Plan};
use pgevents_tests::chaos::{ChaosError, Fault, Schedule};
use pgevents_tests::dist;
use pgevents_tests::lab::SmallDisk;

use pgevents_dev::progress::{BAD, FAINT, GOOD};

/// Rounds when neither rounds nor minutes are asked for.
const ROUNDS: u64 = 100;

/// What the campaign does.
#[derive(Debug, Args)]
pub struct Options {
    /// Replays the faults of a campaign [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How many faults [default: 100, if no minutes are given]
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Begin no new fault after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Only these faults, separated by commas [default: all, the slow ones less often]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    only: Vec<Fault>,
    /// Instead of random faults: cut new connections at so many bytes, in turn in both directions
    /// on both sides, every n-th byte from the first on, without a pause
    #[arg(long, value_name = "N", conflicts_with = "only")]
    cuts: Option<u64>,
    /// 200 kills of the relay, 50 of PostgreSQL and 50 of RabbitMQ, mixed, then 2,000 cuts: about
    /// three quarters of an hour
    #[arg(long, conflicts_with_all = ["only", "cuts"])]
    full: bool,
    /// Rows that are written in a second
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "ROWS")]
    rate: u64,
    /// Longest random time between two faults, in milliseconds
    #[arg(long, default_value_t = 500, value_name = "MILLISECONDS")]
    pause: u64,
    /// Say what the faults are, and do nothing
    #[arg(long)]
    pub list: bool,
}

/// Prints every fault with what it does.
pub fn list() {
    for fault in Fault::value_variants() {
        let value = fault.to_possible_value();
        let help = value
            .as_ref()
            .and_then(|value| value.get_help())
            .map_or_else(String::new, ToString::to_string);
        anstream::println!("{:<20} {FAINT}{help}{FAINT:#}", fault.name());
    }
}

/// Runs the campaign and prints its table.
///
/// # Errors
///
/// When a promise was broken; the seed that replays it and both logs have then been named.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(0..1 << 32));
    let rounds = match (options.rounds, options.minutes) {
        (None, None) if options.cuts.is_none() && !options.full => Some(ROUNDS),
        (rounds, _) => rounds,
    };
    let schedule = match options.cuts {
        _ if options.full => Schedule::full(seed),
        Some(count) => Schedule::sweep(count),
        None if options.only.is_empty() => Schedule::Drawn(all()),
        None => Schedule::Drawn(options.only.clone()),
    };
    let logs = dist::target().join(format!("chaos/{seed}"));
    let plan = Plan {
        seed,
        rounds,
        time: options
            .minutes
            .map(|minutes| Duration::from_secs(minutes * 60)),
        schedule,
        rate: options.rate,
        pause: Duration::from_millis(options.pause),
        logs: logs.clone(),
        relay: dist::relay(),
        settings: String::new(),
    };
    anstream::println!("seed {seed}, {} rows a second", options.rate);
    let runtime = tokio::runtime::Runtime::new()?;
    let played = runtime.block_on(campaign::run(&plan, |round| anstream::println!("{round}")));
    match played {
        Ok(report) => {
            anstream::println!("{GOOD}{report}{GOOD:#}");
            Ok(())
        }
        Err(failure) => {
            show_ends(&logs);
            if matches!(failure, ChaosError::Violation(_)) {
                anstream::println!("{BAD}a promise is broken{BAD:#}");
            }
            bail!(
                "{:#}\nseed {seed}; logs in {}; again: cargo dev chaos --seed {seed}{}",
                anyhow::Error::from(failure),
                logs.display(),
                again(options)
            )
        }
    }
}

/// Every fault that can be made on this machine.
fn all() -> Vec<Fault> {
    let mut faults = Fault::value_variants().to_vec();
    if !SmallDisk::possible() {
        anstream::println!(
            "{FAINT}disk-full is left out: only root may mount a disk to fill{FAINT:#}"
        );
        faults.retain(|fault| *fault != Fault::DiskFull);
    }
    faults
}

/// The other options, as typed.
fn again(options: &Options) -> String {
    let mut line = format!(" --rate {} --pause {}", options.rate, options.pause);
    if let Some(rounds) = options.rounds {
        line.push_str(&format!(" --rounds {rounds}"));
    }
    if let Some(minutes) = options.minutes {
        line.push_str(&format!(" --minutes {minutes}"));
    }
    if options.full {
        line.push_str(" --full");
    }
    if let Some(cuts) = options.cuts {
        line.push_str(&format!(" --cuts {cuts}"));
    }
    if !options.only.is_empty() {
        let names: Vec<_> = options.only.iter().map(|fault| fault.name()).collect();
        line.push_str(&format!(" --only {}", names.join(",")));
    }
    line
}

/// The last lines of each log.
fn show_ends(logs: &Path) {
    for name in ["relay.log", "postgresql.log", "rabbitmq.log"] {
        if let Ok(text) = std::fs::read_to_string(logs.join(name)) {
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            anstream::println!("{FAINT}--- {name}{FAINT:#}\n{end}");
        }
    }
}
