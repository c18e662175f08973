//! Comparisons of pgevents with others, on private servers of this machine: `cargo dev bench`.
#![forbid(unsafe_code)]

mod before;
mod cores;
mod decode;
mod e2e;
mod floor;
mod machine;
mod plot;
mod process_clock;
mod run_folder;
mod scale;
mod server;
mod statistics;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pgevents_tests::dist;

/// Compare pgevents with other ways to get changes out of PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Arguments {
    #[command(subcommand)]
    comparison: Comparison,
    /// Measure everything so many times, interleaved; medians are reported
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Folder for raw numbers, summary and plots [default: target/bench]
    #[arg(long, global = true, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Comparison {
    /// Output plugins: CPU time of the walsender, wall time, bytes
    Decode {
        /// Only workloads whose name contains this
        #[arg(long)]
        only: Option<String>,
        /// Let the reader sleep until data wakes it, which costs the walsender that sends
        #[arg(long)]
        woken: bool,
    },
    /// How the cost of decoding grows with rows, tables and columns
    Scale {
        /// Only curves whose horizontal axis contains this: rows, tables, columns
        #[arg(long)]
        only: Option<String>,
    },
    /// From commit to consumer: rate, latency, CPU time, memory, beside the broker's ceiling
    E2e {
        /// Events of each run that measures a rate
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=5_000_000))]
        events: u64,
        /// Seconds of each run that measures latency, 2 to 600, the first of them to warm up; 0
        /// leaves that out
        #[arg(long, default_value_t = 10, value_parser = seconds_of_latency)]
        seconds: u64,
        /// Give the broker a core of its own, and everything else the other ones
        #[arg(long)]
        broker_core: bool,
    },
    /// The alternative that `e2e` compares with: a relay for wal2json, set up by the environment
    #[command(hide = true)]
    Wal2jsonRelay,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let out = match &arguments.out {
        Some(folder) => dist::workspace().join(folder),
        None => dist::target().join("bench"),
    };
    match &arguments.comparison {
        Comparison::Decode { only, woken } => {
            let reader = if *woken {
                decode::Reader::Woken
            } else {
                decode::Reader::Busy
            };
            let run = decode::run(arguments.rounds, only.as_deref(), reader, &out);
            one_thread()?.block_on(run)
        }
        Comparison::Scale { only } => {
            one_thread()?.block_on(scale::run(arguments.rounds, only.as_deref(), &out))
        }
        Comparison::E2e {
            events,
            seconds,
            broker_core,
        } => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("start the event loop")?;
            let plan = e2e::Plan {
                rounds: arguments.rounds,
                events: *events,
                seconds: *seconds,
                broker_core: *broker_core,
            };
            runtime.block_on(e2e::run(plan, &out))
        }
        Comparison::Wal2jsonRelay => e2e::wal2json::main(),
    }
}

fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")
}

fn seconds_of_latency(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(seconds @ (0 | 2..=600)) => Ok(seconds),
        Ok(_) | Err(_) => Err("it is 0, or 2 to 600"),
    }
}
