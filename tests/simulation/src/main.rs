//! `cargo dev simulate`: many seeds on all processors.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{available_parallelism, scope},
    time::Instant,
};

use clap::Parser;
use pgevents_simulation::{Tally, Violation, run};

/// Seeds that a thread takes at once.
const SHARE: u64 = 500;

/// Steps that are shown before a violation.
const SHOWN_STEPS: usize = 80;

/// Runs the relay's loop between a fake server, a fake broker and a fake disk, once for each seed.
#[derive(Debug, Parser)]
#[command(name = "cargo dev simulate", bin_name = "cargo dev simulate")]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,
    /// Print the steps of a seed that breaks a promise, and the relay's log of every seed
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.trace {
        tracing_subscriber::fmt().with_writer(stderr).init();
    }
    let started = Instant::now();
    match all(&arguments) {
        Ok(tally) => {
            println!("{tally}");
            println!(
                "no promise broken in {:.1} s",
                started.elapsed().as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(violation) => {
            print_violation(&violation);
            ExitCode::FAILURE
        }
    }
}

/// Runs all seeds, or up to the first violation.
fn all(arguments: &Arguments) -> Result<Tally, Violation> {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let failed = AtomicBool::new(false);
    let sum = Mutex::new(Ok(Tally::default()));
    let threads = available_parallelism().map_or(1, usize::from);
    let show = stderr().is_terminal();
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let first = next.fetch_add(SHARE, Ordering::Relaxed);
                    if first >= end {
                        return;
                    }
                    let outcome = share(first..end.min(first + SHARE), arguments.trace);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *sum, outcome) {
                        (Ok(sum), Ok(tally)) => {
                            *sum += tally;
                            if show {
                                eprint!("\r{} seeds", sum.seeds);
                            }
                        }
                        (Ok(_), Err(violation)) => {
                            failed.store(true, Ordering::Relaxed);
                            *sum = Err(violation);
                        }
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    if show {
        eprintln!();
    }
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn share(seeds: std::ops::Range<u64>, trace: bool) -> Result<Tally, Violation> {
    let mut sum = Tally::default();
    for seed in seeds {
        sum += run(seed, trace)?;
    }
    Ok(sum)
}

/// Runs the seed again with its steps.
fn print_violation(violation: &Violation) {
    let again = run(violation.seed, true).err();
    let mut shown = again.as_ref().unwrap_or(violation).clone();
    let hidden = shown.steps.len().saturating_sub(SHOWN_STEPS);
    shown.steps.drain(..hidden);
    println!(
        "broken promise; the last {} steps before it:",
        shown.steps.len()
    );
    println!("{shown}");
    println!(
        "once more: cargo dev simulate --from {} --seeds 1",
        violation.seed
    );
}
