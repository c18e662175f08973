//! The guard against slow code that needs no clock: instructions that valgrind counts for a row, in
//! the frame encoder, the decoder and the JSON writer, beside the committed ones.
//!
//! Counts are the same in every run of one binary, whatever else the machine does. They move a
//! little with the compiler and with the C library's copying functions, hence the tolerance.
#![forbid(unsafe_code)]

mod baseline;
mod case;
mod count;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};

use self::baseline::Baseline;
use self::case::Case;

/// Count instructions a row.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare with the committed counts; exit code 1 when one is above its tolerance
    Check,
    /// Write the counts of this build as those to compare with
    Record,
    /// What valgrind runs
    #[command(hide = true)]
    Repeat {
        /// Name of a case
        case: String,
        /// How often a frame is worked through
        times: u32,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check => check(),
        Command::Record => {
            let counted = count_all()?;
            counted.write(&file())?;
            println!("written: {} counts", Case::all().count());
            Ok(())
        }
        Command::Repeat { case, times } => match Case::all().find(|known| known.name() == *case) {
            Some(case) => {
                case.repeat(*times);
                Ok(())
            }
            None => bail!("no case {case:?}"),
        },
    }
}

fn check() -> anyhow::Result<()> {
    let expected = Baseline::read(&file())?;
    let counted = count_all()?;
    let worse = expected.print_beside(&counted);
    if worse > 0 {
        bail!(
            "{worse} counts are above their tolerance: make it cheaper, or, where the cost is \
             meant, write the new counts with `cargo dev bench instructions` and say why"
        );
    }
    Ok(())
}

fn count_all() -> anyhow::Result<Baseline> {
    let mut counted = Baseline::default();
    for case in Case::all() {
        counted.push(case.name(), count::per_row(case)?);
    }
    Ok(counted)
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions/baseline.csv")
}
