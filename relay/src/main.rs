//! The command `pgevents`.
#![forbid(unsafe_code)]

use std::{error::Error, io::Write, path::Path, process::ExitCode};

use anyhow::Context;
use clap::FromArgMatches;
use pgevents_relay::{
    consumer, doctor,
    exit::{Chain, Exit, Fate},
    heartbeat, log,
    metrics::{self, Board, Identity, MetricsError, Page},
    producer::{self, LiveEnds},
    settings::{
        assembly,
        flags::{Cli, Command, DoctorArgs, SlotArgs},
        manual,
        reference::reference,
        sources::{Effective, Settings, SettingsError},
    },
    shutdown::Shutdown,
    slot,
};
use tracing::{error, warn};

/// Publishing allocates on one thread and frees on another, which glibc's malloc does slowly.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args_os().collect::<Vec<_>>()) {
        Ok(settings) => settings,
        Err(SettingsError::Usage(error)) => error.exit(),
        Err(SettingsError::File(fault)) => return refuse(&fault),
    };
    let cli = Cli::from_arg_matches(settings.matches()).unwrap_or_else(|error| error.exit());
    let environment = |name: &str| {
        let value = std::env::var(name).ok()?;
        // As for settings: a mounted file ends in a line break.
        let value = value.trim_end_matches(['\n', '\r']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    let log_args = match &cli.command {
        Command::Producer(args) => &args.log,
        Command::ConsumerDebug(args) => &args.log,
        Command::Doctor(args) => &args.producer.log,
        Command::Slot(args) => &args.command.which().log,
        Command::Health => return health(environment("PGEVENTS_HEALTH_FILE")),
        Command::Completions { shell } => return print(&manual::completions(*shell)),
        Command::Man { folder } => return write_manual(folder),
        Command::Reference => return print(reference().as_bytes()),
    };
    if let Err(fault) = log::start(log_args.log_format.0, log_args.level()) {
        // Nothing can be logged yet.
        return refuse(&fault);
    }
    let exit = start(&cli, &settings, &environment).unwrap_or_else(|fault| {
        error!("{}", Chain(fault.as_ref()));
        Exit::Configuration
    });
    log::finish();
    exit.into()
}

fn start(
    cli: &Cli,
    settings: &Settings,
    environment: assembly::Environment<'_>,
) -> anyhow::Result<Exit> {
    warn_of_secrets(settings);
    if settings.check_only() {
        return check(cli, settings, environment);
    }
    heartbeat::start(environment("PGEVENTS_HEALTH_FILE"));
    // One thread: decoding, JSON and publishing take turns without locks, and lapin brings a
    // thread of its own for the socket.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")?;
    let exit = runtime.block_on(run(cli, environment));
    // A write to a full pipe would hold up the end for ever.
    runtime.shutdown_background();
    exit
}

/// Prints what is in force, then what cannot be used.
fn check(
    cli: &Cli,
    settings: &Settings,
    environment: assembly::Environment<'_>,
) -> anyhow::Result<Exit> {
    std::io::stdout()
        .write_all(Effective(settings).to_string().as_bytes())
        .context("write to standard output")?;
    match &cli.command {
        Command::Producer(args) => drop(assembly::producer(args, environment)?),
        Command::ConsumerDebug(args) => drop(assembly::consumer(args, environment)?),
        _ => {}
    }
    Ok(Exit::Clean)
}

async fn run(cli: &Cli, environment: assembly::Environment<'_>) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Slot(args) => return run_slot(args, environment).await,
        Command::Doctor(args) => return run_doctor(args, environment).await,
        _ => {}
    }
    let shutdown = Shutdown::listen().context("listen for signals")?;
    let fate = match &cli.command {
        Command::Producer(args) => {
            let config = assembly::producer(args, environment)?;
            let board = Board::default();
            start_metrics(&config, &board).await?;
            producer::run(&LiveEnds::new(&config), &config.plan, &shutdown, &board)
                .await
                .map_err(|fault| (fault.fate(), fault.into()))
        }
        Command::ConsumerDebug(args) => {
            let config = assembly::consumer(args, environment)?;
            consumer::run(&config, &shutdown)
                .await
                .map_err(|fault| (fault.fate(), fault.into()))
        }
        _ => return Ok(Exit::Clean),
    };
    let (fate, fault): (Fate, anyhow::Error) = match fate {
        Ok(()) => return Ok(Exit::Clean),
        Err(ended) => ended,
    };
    error!("{}", Chain(fault.as_ref()));
    Ok(match fate {
        Fate::Stop(exit) => exit,
        Fate::Retry | Fate::Wait => Exit::Bug,
    })
}

/// Starts to answer monitoring, if that is wanted.
async fn start_metrics(config: &producer::Settings, board: &Board) -> Result<(), MetricsError> {
    let Some(address) = config.metrics_listen else {
        return Ok(());
    };
    let listener = metrics::listen(address).await?;
    let (postgres, slot) = (config.postgres.clone(), config.plan.slot.clone());
    let identity = Identity {
        slot: slot.clone(),
        database: postgres.database.clone(),
    };
    let page = Page::new(board.clone(), identity);
    tokio::spawn(metrics::serve(listener, board.clone(), page));
    tokio::spawn(metrics::watch_slot(postgres, slot, board.clone()));
    Ok(())
}

async fn run_doctor(
    args: &DoctorArgs,
    environment: assembly::Environment<'_>,
) -> anyhow::Result<Exit> {
    let report = doctor::examine(&assembly::doctor(args, environment)?).await;
    let mut output = std::io::stdout();
    let printed = match args.json {
        true => report.print_json(&mut output),
        false => report.print(&mut output),
    };
    printed.context("write to standard output")?;
    Ok(report.exit())
}

async fn run_slot(args: &SlotArgs, environment: assembly::Environment<'_>) -> anyhow::Result<Exit> {
    let which = args.command.which();
    let target = assembly::slot_target(&which.postgres, &which.pgslot, environment)?;
    match slot::run(
        assembly::slot_action(&args.command),
        &target,
        &mut std::io::stdout(),
    )
    .await
    {
        Ok(()) => Ok(Exit::Clean),
        Err(fault) => {
            error!("{}", Chain(&fault));
            Ok(fault.exit())
        }
    }
}

fn health(file: Option<String>) -> ExitCode {
    match heartbeat::check(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unhealthy) => {
            eprintln!("{}", Chain(&unhealthy));
            ExitCode::FAILURE
        }
    }
}

/// The list of processes shows arguments to every user of the machine.
fn warn_of_secrets(settings: &Settings) {
    for (secret, file) in settings.typed_secrets() {
        let flag = secret.replace('_', "-");
        let mut better = secret.to_uppercase();
        if let Some(file) = file {
            better.push_str(" or ");
            better.push_str(&file.to_uppercase());
        }
        warn!("--{flag} shows its value in the list of processes: better use {better}");
    }
}

fn write_manual(folder: &Path) -> ExitCode {
    match manual::write_pages(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("write manual pages to {}: {fault}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("write to standard output: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong before there is a log.
fn refuse(fault: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("{}", Chain(fault));
    Exit::Configuration.into()
}
