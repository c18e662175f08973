//! The obvious alternative: wal2json with format-version 2, read line by line, made into the same
//! events, published by the relay's own publisher with the relay's own acknowledgement rules. It runs
//! as a process of its own and is set up by the same variables as the relay.

mod event;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use pgevents_proto::{EventKeyPrefix, Lsn};
use pgevents_relay::cli::{Cli, Command};
use pgevents_relay::config;
use pgevents_relay::delivery::{Delivery, Outgoing, Outlet};
use pgevents_relay::position::{Position, Recorder};
use pgevents_relay::publish::{Outcome, Sink};
use pgevents_relay::walsender::{Message, Session, StatusTask};

use self::event::{Line, commit_seconds, write_event};

/// The plugin's options: its newer format, and what the acknowledgement rules need.
const OPTIONS: [(&str, &str); 3] = [
    ("format-version", "2"),
    ("include-lsn", "true"),
    ("include-timestamp", "true"),
];

/// The running alternative, behind the stream.
struct Forwarder {
    sink: Sink,
    delivery: Delivery,
    key: EventKeyPrefix,
    index: u64,
    commit_time: u64,
    end_lsn: Lsn,
    routing_keys: HashMap<(String, String), String>,
    body: Vec<u8>,
    message_id: String,
    outcomes: Vec<Outcome>,
}

/// Runs until it is killed or something fails.
///
/// # Errors
///
/// What failed; there is no second attempt.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::try_parse_from(["pgevents", "producer"])?;
    let Command::Producer(arguments) = &cli.command else {
        bail!("the command `producer` is another one");
    };
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = config::Producer::new(arguments, &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")?;
    runtime.block_on(forward(&config))
}

async fn forward(config: &config::Producer) -> anyhow::Result<()> {
    let sink = Sink::open(&config.sink, config.policy.unroutable).await?;
    let mut session = Session::connect(&config.postgres).await?;
    let (system, _) = session.identify_system().await?;
    let options = OPTIONS.map(|(name, value)| (name, value.to_owned()));
    let (mut reader, writer) = session.stream(&config.slot, Lsn::INVALID, &options).await?;
    let position = Position::new(
        &config.slot,
        &config.postgres.database,
        system,
        Lsn::INVALID,
    );
    let (recorder, _) = Recorder::new(None, position, true);
    let status = StatusTask::start(writer, Duration::from_secs(10), recorder);
    eprintln!("streaming");
    let mut forwarder = Forwarder {
        sink,
        delivery: Delivery::new(config.policy),
        key: EventKeyPrefix::default(),
        index: 0,
        commit_time: 0,
        end_lsn: Lsn(0),
        routing_keys: HashMap::new(),
        body: Vec::new(),
        message_id: String::new(),
        outcomes: Vec::new(),
    };
    loop {
        while let Some(message) = reader.message()? {
            match message {
                Message::XLogData { frame: line, .. } => {
                    forwarder.line(&line, system.id)?;
                    while !forwarder.delivery.has_room() {
                        forwarder.sink.outcomes(&mut forwarder.outcomes).await?;
                        forwarder.settle()?;
                        status.flushed(forwarder.delivery.acknowledge());
                    }
                }
                Message::Keepalive { wal_end, reply } => {
                    forwarder.delivery.keepalive(wal_end);
                    if reply {
                        status.reply();
                    }
                }
                Message::Done => bail!("the server ended the stream"),
            }
        }
        status.flushed(forwarder.delivery.acknowledge());
        tokio::select! {
            biased;
            confirmed = forwarder.sink.outcomes(&mut forwarder.outcomes) => {
                confirmed?;
                forwarder.settle()?;
            }
            filled = reader.fill() => filled?,
        }
    }
}

impl Forwarder {
    fn line(&mut self, text: &[u8], system_id: u64) -> anyhow::Result<()> {
        let line: Line<'_> = serde_json::from_slice(text).context("read a line of wal2json")?;
        match line.action.as_ref() {
            "B" => {
                self.end_lsn = line
                    .nextlsn
                    .context("a beginning without nextlsn")?
                    .parse()?;
                let time = line.timestamp.context("a beginning without time")?;
                self.commit_time = commit_seconds(&time)?;
                self.index = 0;
                let micros = i64::try_from(self.commit_time)? * 1_000_000;
                self.key.reset(system_id, self.end_lsn, micros);
                self.delivery.begin();
            }
            "C" => self.delivery.commit(self.end_lsn),
            "I" | "U" | "D" => self.change(&line)?,
            action => bail!("unexpected action {action:?}"),
        }
        Ok(())
    }

    fn change(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        let schema = line.schema.as_deref().context("a change without schema")?;
        let table = line.table.as_deref().context("a change without table")?;
        let name = (schema.to_owned(), table.to_owned());
        let routing_key = self
            .routing_keys
            .entry(name)
            .or_insert_with(|| format!("{schema}.{table}"));
        self.body.clear();
        write_event(line, routing_key, &mut self.body)?;
        self.message_id.clear();
        self.key.write(self.index, &mut self.message_id);
        self.index += 1;
        let number = self.delivery.publish(self.body.len() as u64);
        let event = Outgoing {
            routing_key,
            message_id: &self.message_id,
            commit_time: Some(self.commit_time),
            // wal2json does not say whether an old row is complete.
            kind: None,
            utf8: true,
            body: &self.body,
        };
        self.sink.publish(number, event);
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        for outcome in self.outcomes.drain(..) {
            let Outcome::Confirmed(confirmed) = outcome else {
                bail!("a message was not confirmed");
            };
            self.delivery.confirmed(confirmed);
        }
        Ok(())
    }
}
