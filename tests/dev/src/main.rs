//! `cargo dev`: what a developer of pgevents runs.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod debian;
mod demo;
mod deny;
mod mutants;
mod packages;
mod patch;
mod simulate;
mod suite;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use pgevents_dev::dist::Installation;
use pgevents_dev::progress::Progress;

/// Build, try and check pgevents.
///
/// Needs Rust, git, a C compiler and make. What else a command needs, it installs from Debian's
/// packages first and says so (as root, or with sudo). Servers that it starts are private: own data
/// folder, free ports, loopback only, gone afterwards.
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
    #[command(disable_help_flag = true)]
    Differential(Words),
    /// Watch the memory of a walsender over many changes of rows and of tables
    #[command(disable_help_flag = true)]
    Memory(Words),
    /// Run the plugin in a server under valgrind, over random schemas and changes and every option
    #[command(disable_help_flag = true)]
    Valgrind(Words),
    /// Kill, stop and cut every part under load, again and again, and check every event
    #[command(disable_help_flag = true)]
    Chaos(Words),
    /// Large transactions, idle slots and stalled brokers at full size; the suite has them small
    #[command(disable_help_flag = true)]
    Endurance(Words),
    /// Compare with other plugins, and from commit to consumer; results go to target/bench
    Bench {
        /// Which comparison [default: all]
        comparison: Option<bench::Comparison>,
        /// Measure another build of this project beside this one: a folder that `cargo dev dist`
        /// has filled in another checkout
        #[arg(long, value_name = "FOLDER")]
        before: Option<PathBuf>,
        /// For the comparison, after `--`: its options, or --help
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the relay's loop between a server, a broker and a disk that are fakes, which lose, delay
    /// and reorder whatever they may
    #[command(disable_help_flag = true)]
    Simulate(Words),
    /// Plant faults in relay and plugin, one by one, and say which checks see each
    Mutants {
        /// Only those whose name contains this
        only: Option<String>,
    },
    /// Write proto/src/v1.rs from proto/pgevents.proto, and docs/configuration.md from the
    /// command line of the relay
    Codegen,
    /// Look at licences, duplicates, sources and advisories of all dependencies; builds cargo-deny
    /// at first
    Deny,
}

/// Options of a program that is started for it; `--help` prints them.
#[derive(Args, Debug)]
struct Words {
    /// Its options; see --help
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    words: Vec<String>,
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
        Task::Demo { once } => demo::run(&progress, *once),
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
        Task::Differential(Words { words }) => trial::run(&progress, "differential", words),
        Task::Memory(Words { words }) => trial::run(&progress, "memory", words),
        Task::Valgrind(Words { words }) => trial::run(&progress, "valgrind", words),
        Task::Chaos(Words { words }) => trial::run(&progress, "chaos", words),
        Task::Endurance(Words { words }) => trial::run(&progress, "endurance", words),
        Task::Bench {
            comparison,
            before,
            arguments,
        } => {
            bench::run(&progress, *comparison, before.as_deref(), arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Simulate(Words { words }) => {
            simulate::run(&progress, words)?;
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
