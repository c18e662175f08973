//! `cargo dev`: what a developer of pgevents runs.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod chaos;
mod debian;
mod demo;
mod deny;
mod differential;
mod endurance;
mod memory;
mod mutants;
mod packages;
mod progress;
mod simulate;
mod suite;
mod valgrind;

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::{Parser, Subcommand};
use pgevents_tests::dist::Installation;
use pgevents_tests::walsender_memory::Size;

use crate::progress::Progress;

/// Build, try and check pgevents.
///
/// Needs Rust, git, a C compiler and make. What else a command needs, it installs from Debian's packages
/// first and says so (as root, or with sudo). Servers that it starts are private: own data folder,
/// free ports, loopback only, gone afterwards.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
    /// Show the output of every program that is run, not only of those that fail
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start PostgreSQL, RabbitMQ, the relay and a consumer; insert a row; show its event
    Demo {
        /// End after the first event, with exit code 0
        #[arg(long)]
        once: bool,
    },
    /// Run every check of the project; the last line is `N passed, N failed`
    Test {
        /// Only tests whose name contains this (the checks without tests are left out); `majors`:
        /// the smoke on every other major version; `compose`: the stack in containers;
        /// `packages`: the Debian packages in an empty Debian
        filter: Option<String>,
        /// Major version of PostgreSQL to test with; one that this Debian lacks is fetched into
        /// target/postgres from the Debian release that has it
        #[arg(long, value_name = "N")]
        pg: Option<u32>,
    },
    /// Build what is shipped: target/dist/pgNN/pgevents.so and target/dist/pgevents
    Dist {
        /// The PostgreSQL to build the plugin for [default: Debian's]
        #[arg(long, value_name = "PATH")]
        pg_config: Option<PathBuf>,
        /// Pack them too: target/dist/deb/postgresql-NN-pgevents_*.deb and pgevents_*.deb
        #[arg(long)]
        deb: bool,
    },
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
    /// Compare with other plugins, and from commit to consumer; results go to target/bench
    Bench {
        /// Which comparison [default: all]
        comparison: Option<bench::Comparison>,
        /// For the comparison, after `--`: its options, or --help
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the relay's core between a fake server and a fake broker, which lose, delay and reorder
    /// whatever they may
    Simulate {
        /// --seeds N, --from SEED, --trace
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Plant faults in relay and plugin, one by one, and say which checks see each
    Mutants {
        /// Only those whose name contains this
        only: Option<String>,
    },
    /// Write proto/src/generated.rs from proto/pgevents.proto, and docs/configuration.md from the
    /// command line of the relay
    Codegen,
    /// Look at licences, duplicates, sources and advisories of all dependencies; builds cargo-deny at
    /// first
    Deny,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            anstream::eprintln!("{red}error:{red:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new(arguments.verbose);
    match &arguments.command {
        Task::Demo { once } => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            build::dist(&progress, &postgres)?;
            demo::run(&progress, *once)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { filter, pg } => suite::run(&progress, filter.as_deref(), *pg),
        Task::Dist { pg_config, deb } => {
            let postgres = match pg_config {
                Some(path) => {
                    packages::ensure_compiler(&progress)?;
                    Installation::of(path).context("use --pg-config")?
                }
                None => packages::ensure(&progress, None, packages::Use::Headers)?,
            };
            if *deb {
                debian::packages(&progress, &postgres)?;
            } else {
                build::dist(&progress, &postgres)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Differential { seeds, from } => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            build::dist(&progress, &postgres)?;
            differential::run(*from, *seeds)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Memory {
            changes,
            tables,
            rounds,
        } => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            build::dist(&progress, &postgres)?;
            memory::run(Size {
                changes: *changes,
                tables: *tables,
                rounds: *rounds,
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Valgrind { seeds, from } => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            packages::ensure_program(&progress, "valgrind", "finds misuse of memory")?;
            build::dist(&progress, &postgres)?;
            valgrind::run(*from, *seeds)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Chaos(options) if options.list => {
            chaos::list();
            Ok(ExitCode::SUCCESS)
        }
        Task::Chaos(options) => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            build::dist(&progress, &postgres)?;
            chaos::run(options)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Endurance { scenario } => {
            let postgres = packages::ensure(&progress, None, packages::Use::Servers)?;
            build::dist(&progress, &postgres)?;
            endurance::run(*scenario)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Bench {
            comparison,
            arguments,
        } => {
            bench::run(&progress, *comparison, arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Simulate { arguments } => {
            simulate::run(&progress, arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Mutants { only } => {
            mutants::run(&progress, only.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Codegen => {
            build::codegen(&progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Deny => {
            deny::run(&progress)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
