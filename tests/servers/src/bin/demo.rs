//! A private system from the row to its event.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::Parser;
use pgevents_dev::dist;
use pgevents_servers::{PATIENCE, Postgres, Process, RELAY_ROLE, RabbitMq};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use pgevents_dev::progress::{BAD, FAINT, Progress};

const TITLE: Style = Style::new().bold();
const ROUTE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));

/// Name of the database and of the replication slot.
const DATABASE: &str = "demo";
/// Names at the broker.
const EXCHANGE: &str = "events";
const QUEUE: &str = "event_logger";

/// What runs, in the order in which it is started.
const SQL: [&str; 3] = [
    "CREATE TABLE users (id int PRIMARY KEY, full_name text);",
    "ALTER TABLE users REPLICA IDENTITY FULL;",
    "INSERT INTO users VALUES (1, 'Mikael Åkerfeldt');",
];

/// Starts PostgreSQL, RabbitMQ, the relay and a consumer; inserts a row; shows its event.
#[derive(Debug, Parser)]
#[command(name = "cargo dev demo", bin_name = "cargo dev demo")]
struct Arguments {
    /// End after the first event, with exit code 0
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    match run(&Progress::new(false), Arguments::parse().once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{BAD}error:{BAD:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts everything, shows the event of the first row, and follows further events until Ctrl-C,
/// or ends at once when `once`. Nothing is left behind, however this process ends.
///
/// # Errors
///
/// When a part does not start or ends by itself.
fn run(progress: &Progress, once: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the demo's event loop")?;
    runtime.block_on(async {
        tokio::select! {
            outcome = show(progress, once) => outcome,
            name = interrupted() => {
                anstream::println!("\n{FAINT}{}: stopping everything{FAINT:#}", name?);
                Ok(())
            }
        }
    })
}

/// The running parts; dropped in the order in which data flows.
struct System {
    relay: Process,
    consumer: Process,
    rabbitmq: RabbitMq,
    postgres: Postgres,
}

async fn show(progress: &Progress, once: bool) -> anyhow::Result<()> {
    let system = start(progress).await?;
    let client = system
        .postgres
        .connect(DATABASE)
        .await
        .context("connect to PostgreSQL")?;
    introduce(&system);
    anstream::println!("{TITLE}SQL{TITLE:#}");
    for statement in SQL {
        anstream::println!("  {statement}");
        client
            .batch_execute(statement)
            .await
            .with_context(|| format!("run {statement}"))?;
    }
    let committed = Instant::now();
    let first = timeout(PATIENCE, next_event(&system, 0)).await;
    let (mut line, key, event) = first.with_context(|| {
        format!(
            "no event within {PATIENCE:?}; the relay says:\n{}",
            system.relay.tail()
        )
    })??;
    anstream::println!(
        "\n{TITLE}Event{TITLE:#} {FAINT}(as the consumer got it, {} ms after the commit){FAINT:#}",
        committed.elapsed().as_millis()
    );
    print_event(&key, &event);
    if once {
        return Ok(());
    }
    anstream::println!(
        "\n{TITLE}Go on{TITLE:#} in another terminal; every change shows up here. \
         Ctrl-C ends and removes everything.\n  psql '{}'\n",
        url(&system.postgres)
    );
    loop {
        let (next, key, event) = next_event(&system, line).await?;
        print_event(&key, &event);
        line = next;
    }
}

async fn start(progress: &Progress) -> anyhow::Result<System> {
    let begun = Instant::now();
    let postgres = Postgres::start("").await?;
    progress.report("start PostgreSQL", true, begun.elapsed(), "");
    let begun = Instant::now();
    let rabbitmq = RabbitMq::start().await?;
    progress.report("start RabbitMQ", true, begun.elapsed(), "");
    let begun = Instant::now();
    let administrator = postgres
        .connect("postgres")
        .await
        .context("connect to PostgreSQL")?;
    let create = format!("CREATE DATABASE {DATABASE}");
    administrator
        .batch_execute(&create)
        .await
        .context("create the database")?;
    // The consumer first: it makes the queue, without which events have nowhere to go.
    let mut command = part("consumer_debug", &rabbitmq)?;
    command
        .env("RABBITMQ_QUEUE_NAME", QUEUE)
        .env("RABBITMQ_BINDING_KEYS", "#");
    let consumer = Process::start("consumer", &mut command, Signal::TERM)?;
    ready(&consumer, "waiting for events").await?;
    let mut command = part("producer", &rabbitmq)?;
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", postgres.port().to_string())
        .env("PGDATABASE", DATABASE)
        .env("PGUSER", RELAY_ROLE)
        .env("PGPASSWORD", postgres.relay_password())
        .env("PGSLOT", DATABASE);
    let relay = Process::start("relay", &mut command, Signal::TERM)?;
    ready(&relay, "streaming").await?;
    progress.report("start relay and consumer", true, begun.elapsed(), "");
    Ok(System {
        relay,
        consumer,
        rabbitmq,
        postgres,
    })
}

/// One of the two subcommands of the relay's binary, with the broker's variables.
fn part(subcommand: &str, rabbitmq: &RabbitMq) -> anyhow::Result<Command> {
    let mut command = Command::new(dist::built(dist::relay())?);
    command
        .arg(subcommand)
        .env_clear()
        .env("HOME", "/nonexistent");
    command
        .env("RABBITMQ_URL", rabbitmq.url())
        .env("RABBITMQ_EXCHANGE", EXCHANGE);
    Ok(command)
}

async fn ready(process: &Process, text: &str) -> anyhow::Result<()> {
    process
        .line(process.stderr(), 0, "readiness", |line| line.contains(text))
        .await?;
    Ok(())
}

fn introduce(system: &System) {
    let System {
        relay,
        consumer,
        rabbitmq,
        postgres,
    } = system;
    let plugin = dist::plugin(postgres.installation().major);
    let plugin = plugin
        .strip_prefix(dist::workspace())
        .unwrap_or(Path::new(&plugin))
        .display();
    let version = &postgres.installation().version;
    let row = |name: &str, place: &str, remark: &str| {
        anstream::println!("  {name:<18} {place:<17} {FAINT}{remark}{FAINT:#}");
    };
    anstream::println!("\n{TITLE}Running{TITLE:#}");
    let place = format!("127.0.0.1:{}", postgres.port());
    row(
        &format!("PostgreSQL {version}"),
        &place,
        &format!("database {DATABASE}, plugin {plugin}"),
    );
    let place = format!("127.0.0.1:{}", rabbitmq.port());
    row(
        "RabbitMQ",
        &place,
        &format!("exchange {EXCHANGE}, queue {QUEUE}"),
    );
    let remark = format!("pgevents producer, slot {DATABASE}");
    row("relay", &format!("pid {}", relay.pid()), &remark);
    row(
        "consumer",
        &format!("pid {}", consumer.pid()),
        "pgevents consumer_debug",
    );
    println!();
}

/// The next routing key and event that the consumer prints, from line number `from` on, and the
/// number of the line after it.
async fn next_event(system: &System, from: usize) -> anyhow::Result<(usize, String, String)> {
    let output = system.consumer.stdout();
    tokio::select! {
        (at, key) = output.line(from, |line| line.starts_with("routing_key ")) => {
            let (at, event) = output.line(at + 1, |_| true).await;
            Ok((at + 1, key, event))
        }
        error = ended(&system.relay) => Err(error),
        error = ended(&system.consumer) => Err(error),
    }
}

/// Waits until a part ends, which it should not.
async fn ended(process: &Process) -> anyhow::Error {
    let status = process.ended().await;
    anyhow::anyhow!(
        "{} ended ({status}); it says:\n{}",
        process.name(),
        process.tail()
    )
}

fn print_event(key: &str, event: &str) {
    anstream::println!("{ROUTE}{key}{ROUTE:#}");
    println!("{event}");
}

/// How psql reaches the demo's database, as superuser: the server is private and short-lived.
fn url(postgres: &Postgres) -> String {
    let (password, port) = (postgres.superuser_password(), postgres.port());
    format!("postgresql://postgres:{password}@127.0.0.1:{port}/{DATABASE}")
}

async fn interrupted() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| "Ctrl-C").context("listen for Ctrl-C"),
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = hangup.recv() => Ok("SIGHUP"),
    }
}
