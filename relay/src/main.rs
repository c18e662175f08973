//! The command `pgevents`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgMatches, CommandFactory, FromArgMatches, parser::ValueSource};
use pgevents_relay::{
    cli::{Cli, Command, DoctorArgs, LogArgs, SlotArgs},
    config, consumer, doctor,
    exit::{Chain, Exit, Fate},
    health, log,
    metrics::{self, Board, Identity, MetricsError, Page},
    producer,
    shutdown::Shutdown,
    slot,
};
use tracing::{error, warn};

/// Publishing allocates on one thread and frees on another, which glibc's malloc does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let log_args = match &cli.command {
        Command::Producer(args) => &args.log,
        Command::ConsumerDebug(args) => &args.log,
        Command::Doctor(args) => &args.producer.log,
        Command::Slot(args) => &args.command.which().log,
        Command::Health => return health(environment("PGEVENTS_HEALTH_FILE")),
    };
    match start(&cli, log_args, &matches, &environment) {
        Ok(exit) => exit.into(),
        Err(fault) => {
            error!("{}", Chain(fault.as_ref()));
            Exit::Configuration.into()
        }
    }
}

fn start(
    cli: &Cli,
    log_args: &LogArgs,
    matches: &ArgMatches,
    environment: config::Environment<'_>,
) -> anyhow::Result<Exit> {
    if let Err(fault) = log::start(log_args, environment) {
        // Nothing can be logged yet.
        eprintln!("{fault}");
        return Ok(Exit::Configuration);
    }
    warn_of_secrets(matches);
    health::start(environment("PGEVENTS_HEALTH_FILE"));
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

async fn run(cli: &Cli, environment: config::Environment<'_>) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Slot(args) => return run_slot(args, environment).await,
        Command::Doctor(args) => return run_doctor(args, environment).await,
        Command::Producer(_) | Command::ConsumerDebug(_) | Command::Health => {}
    }
    let shutdown = Shutdown::listen().context("listen for signals")?;
    let fate = match &cli.command {
        Command::Producer(args) => {
            let config = config::Producer::new(args, environment)?;
            let board = Board::default();
            start_metrics(&config, &board).await?;
            producer::run(&config, &shutdown, &board)
                .await
                .map_err(|fault| (fault.fate(), fault.into()))
        }
        Command::ConsumerDebug(args) => {
            let config = config::Consumer::new(args, environment)?;
            consumer::run(&config, &shutdown)
                .await
                .map_err(|fault| (fault.fate(), fault.into()))
        }
        Command::Slot(_) | Command::Doctor(_) | Command::Health => return Ok(Exit::Clean),
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
async fn start_metrics(config: &config::Producer, board: &Board) -> Result<(), MetricsError> {
    let Some(address) = config.metrics_listen else {
        return Ok(());
    };
    let listener = metrics::listen(address).await?;
    let (postgres, slot) = (config.postgres.clone(), config.slot.clone());
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
    environment: config::Environment<'_>,
) -> anyhow::Result<Exit> {
    let report = doctor::examine(&config::Doctor::new(args, environment)?).await;
    let mut output = std::io::stdout();
    let printed = match args.json {
        true => report.print_json(&mut output),
        false => report.print(&mut output),
    };
    printed.context("write to standard output")?;
    Ok(report.exit())
}

async fn run_slot(args: &SlotArgs, environment: config::Environment<'_>) -> anyhow::Result<Exit> {
    let which = args.command.which();
    let target = config::SlotTarget::new(&which.postgres, &which.pgslot, environment)?;
    match slot::run(&args.command, &target, &mut std::io::stdout()).await {
        Ok(()) => Ok(Exit::Clean),
        Err(fault) => {
            error!("{}", Chain(&fault));
            Ok(fault.exit())
        }
    }
}

fn health(file: Option<String>) -> ExitCode {
    match health::check(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unhealthy) => {
            eprintln!("{}", Chain(&unhealthy));
            ExitCode::FAILURE
        }
    }
}

/// The list of processes shows arguments to every user of the machine.
fn warn_of_secrets(matches: &ArgMatches) {
    let mut arguments = matches;
    while let Some((_, inner)) = arguments.subcommand() {
        arguments = inner;
    }
    for (flag, better) in [
        ("pgpassword", "PGPASSWORD, PGPASSWORD_FILE or ~/.pgpass"),
        ("rabbitmq_url", "RABBITMQ_URL or RABBITMQ_URL_FILE"),
        ("rabbitmq_management_url", "RABBITMQ_MANAGEMENT_URL"),
    ] {
        let source = arguments
            .try_contains_id(flag)
            .ok()
            .and_then(|_| arguments.value_source(flag));
        if source == Some(ValueSource::CommandLine) {
            let flag = flag.replace('_', "-");
            warn!("--{flag} shows its value in the list of processes: better use {better}");
        }
    }
}
