//! The obvious alternative: wal2json with format-version 2, a source of the relay's own loop, with
//! its own publisher and acknowledgement rules. It runs as a process of its own and is set up by
//! the same variables as the relay.

mod line;
mod table;

use std::{future, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Parser;
use pgevents_proto::{Begin, Commit, Event, Lsn};
use pgevents_relay::{
    delivery::Acknowledged,
    metrics::Board,
    phase::Phase,
    position::{LocalDisk, Recorder, Timelines},
    postgres::{PostgresError, Stream},
    producer::{self, Ends, ProducerError, Seen, Server, Settings, Streaming},
    replication::{Message, Reader, Session, StatusTask},
    settings::{
        assembly,
        flags::{Cli, Command},
    },
    shutdown::Shutdown,
    sink::{AnySink, SinkError},
    source::{Input, Source, SourceError},
};
use tokio::{io::ReadHalf, sync::watch};

use self::{
    line::{Line, commit_micros},
    table::Tables,
};

/// The plugin's options: its newer format, and what the acknowledgement rules need.
const OPTIONS: [(&str, Option<&str>); 3] = [
    ("format-version", Some("2")),
    ("include-lsn", Some("true")),
    ("include-timestamp", Some("true")),
];

/// Runs until it is killed or something fails that has to be mended.
///
/// # Errors
///
/// What failed.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::try_parse_from(["pgevents", "producer"])?;
    let Command::Producer(arguments) = &cli.command else {
        bail!("the command `producer` is another one");
    };
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let settings = assembly::producer(arguments, &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")?;
    let (_stop, requested) = watch::channel(false);
    let (shutdown, board) = (Shutdown::of(requested), Board::default());
    let ends = Wal2jsonEnds(&settings);
    let ran = runtime.block_on(producer::run(&ends, &settings.plan, &shutdown, &board));
    ran.context("forward what wal2json decodes")
}

/// The servers that the settings name, with a slot of wal2json's.
struct Wal2jsonEnds<'a>(&'a Settings);

/// A server that is connected.
struct Wal2jsonServer<'a> {
    settings: &'a Settings,
    session: Session,
    seen: Seen,
}

/// The lines of wal2json.
struct Wal2json {
    reader: Reader<ReadHalf<Stream>>,
    status: StatusTask,
    /// The line that was announced and not read.
    line: Option<Bytes>,
    tables: Tables,
    end_lsn: Lsn,
    index: u64,
}

impl Ends for Wal2jsonEnds<'_> {
    type Sink = AnySink;
    type Server<'s>
        = Wal2jsonServer<'s>
    where
        Self: 's;
    type Disk = LocalDisk;

    async fn open_sink(&self) -> Result<AnySink, SinkError> {
        AnySink::open(&self.0.sink, self.0.plan.policy.unroutable).await
    }

    async fn connect(&self, enter: &dyn Fn(Phase)) -> Result<Wal2jsonServer<'_>, ProducerError> {
        enter(Phase::Connecting);
        let mut session = Session::connect(&self.0.postgres).await?;
        let (system, wal_end) = session.identify_system().await?;
        Ok(Wal2jsonServer {
            settings: self.0,
            session,
            seen: Seen {
                system,
                wal_end,
                // 0/0 means where it stands.
                slot: Some(Lsn::INVALID),
                others: None,
            },
        })
    }
}

impl Server for Wal2jsonServer<'_> {
    type Source = Wal2json;
    type Disk = LocalDisk;

    fn seen(&self) -> Seen {
        self.seen
    }

    async fn create_slot(&self) -> Result<Lsn, ProducerError> {
        Ok(Lsn::INVALID)
    }

    async fn stream(
        self,
        from: Lsn,
        recorder: Recorder,
    ) -> Result<Streaming<Wal2json>, ProducerError> {
        let slot = &self.settings.plan.slot;
        let (reader, writer) = self.session.stream(slot, from, &OPTIONS).await?;
        eprintln!("streaming");
        Ok(Streaming {
            source: Wal2json {
                reader,
                status: StatusTask::start(writer, Duration::from_secs(10), recorder),
                line: None,
                tables: Tables::default(),
                end_lsn: Lsn::INVALID,
                index: 0,
            },
            timelines: Timelines::only(self.seen.system.timeline),
            server_stops: Box::pin(future::pending()),
            busy: watch::Sender::new(false),
            longest_standstill: Duration::MAX,
        })
    }
}

impl Source for Wal2json {
    fn next(&mut self) -> Result<Option<Input<'_>>, SourceError> {
        if let Some(line) = self.line.take() {
            let event = self.event(line);
            let event = event.map_err(|error| PostgresError::Protocol(format!("{error:#}")))?;
            return Ok(Some(Input::Event(event)));
        }
        Ok(match self.reader.message()? {
            None => None,
            Some(Message::XLogData { lsn, frame }) => {
                let bytes = frame.len() as u64;
                self.line = Some(frame);
                Some(Input::Data { lsn, bytes })
            }
            Some(Message::Keepalive { wal_end, reply }) => Some(Input::SentUpTo { wal_end, reply }),
            Some(Message::Done) => Some(Input::Ended),
        })
    }

    async fn fill(&mut self) -> Result<(), SourceError> {
        Ok(self.reader.fill().await?)
    }

    fn acknowledge(&mut self, acknowledged: Acknowledged) {
        self.status.acknowledged(acknowledged);
    }

    fn reply(&mut self) {
        self.status.reply();
    }

    fn ask(&mut self) {
        self.status.ping();
    }

    async fn close(self) -> Result<(), SourceError> {
        self.status.close().await.map_err(SourceError::Status)
    }
}

impl Wal2json {
    fn event(&mut self, text: Bytes) -> anyhow::Result<Event<'_>> {
        let line: Line<'_> = serde_json::from_slice(&text).context("read a line of wal2json")?;
        match line.action.as_ref() {
            "B" => {
                let end = line.nextlsn.context("a beginning without nextlsn")?;
                let time = line.timestamp.context("a beginning without time")?;
                self.end_lsn = end.parse()?;
                self.index = 0;
                Ok(Event::Begin(Begin {
                    // It does not say where the commit record starts.
                    commit_lsn: self.end_lsn,
                    end_lsn: self.end_lsn,
                    commit_time: commit_micros(&time)?,
                    xid: 0,
                }))
            }
            "C" => Ok(Event::Commit(Commit {
                end_lsn: self.end_lsn,
                ..Commit::default()
            })),
            "I" | "U" | "D" => {
                let index = self.index;
                self.index += 1;
                self.tables.change(&line, &text, index).map(Event::Change)
            }
            action => bail!("unexpected action {action:?}"),
        }
    }
}
