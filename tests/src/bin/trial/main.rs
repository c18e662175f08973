//! What `cargo dev` starts for trials with servers: long, large or hostile.
#![forbid(unsafe_code)]

mod campaign;
mod chaos;
mod differential;
mod endurance;
mod memory;
mod valgrind;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pgevents_dev::progress::BAD;
use pgevents_tests::walsender_memory::Size;

/// Trials of what `cargo dev dist` has built, on private servers.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Debug, Subcommand)]
enum Trial {
    /// Compare random changes with what PostgreSQL itself says of each row
    Differential {
        /// How many seeds
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first of them
        #[arg(long, default_value_t = 0, value_name = "SEED")]
        from: u64,
    },
    /// Watch the memory of a walsender over many changes of rows and of tables
    Memory {
        /// Changes of rows
        #[arg(long, default_value_t = 5_000_000)]
        changes: u64,
        /// Tables that are made, renamed in part and dropped in every round
        #[arg(long, default_value_t = 300)]
        tables: u32,
        /// How many rounds
        #[arg(long, default_value_t = 40)]
        rounds: u32,
    },
    /// Run the plugin in a server under valgrind, over random schemas and changes and every option
    Valgrind {
        /// How many seeds of the random changes
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        /// The first of them
        #[arg(long, default_value_t = 0, value_name = "SEED")]
        from: u64,
    },
    /// Kill, stop and cut every part under load, again and again, and check every event
    Chaos(chaos::Options),
    /// Large transactions, idle slots and stalled brokers at full size; the suite has them small
    Endurance {
        /// Which one [default: all, for about a quarter of an hour]
        scenario: Option<endurance::Scenario>,
    },
    /// What `mutants` runs with a planted fault; prints what it sees
    #[command(hide = true)]
    Campaign {
        /// The relay
        relay: PathBuf,
        /// A folder with another plugin
        plugin: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().trial) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{BAD}error:{BAD:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(trial: &Trial) -> anyhow::Result<()> {
    match trial {
        Trial::Differential { seeds, from } => differential::run(*from, *seeds),
        Trial::Memory {
            changes,
            tables,
            rounds,
        } => memory::run(Size {
            changes: *changes,
            tables: *tables,
            rounds: *rounds,
        }),
        Trial::Valgrind { seeds, from } => valgrind::run(*from, *seeds),
        Trial::Chaos(options) if options.list => {
            chaos::list();
            Ok(())
        }
        Trial::Chaos(options) => chaos::run(options),
        Trial::Endurance { scenario } => endurance::run(*scenario),
        Trial::Campaign { relay, plugin } => campaign::run(relay, plugin.as_deref()),
    }
}
