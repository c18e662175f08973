use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use super::{
    ProducerError, Relay,
    start::{Start, answered},
};
use crate::{
    config,
    metrics::State,
    position::{Gap, RecordFault, Recorder},
    postgres::{Sentinel, Sql, advise, check},
    publish::Sink,
    walsender::{Reader, Session, StatusTask, System},
};

/// Longest `wal_sender_timeout` of a stream. Half of it passes until a server that replays what it does
/// not send answers, and that has to be well before its silence counts as death.
const SERVER_TIMEOUT: Duration = Duration::from_secs(12);

/// A running stream.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) status: StatusTask,
    pub(super) system: System,
    /// What consumers have to be told first.
    pub(super) gap: Option<Gap>,
    /// Tells the sentinel whether something is on its way.
    pub(super) busy: watch::Sender<bool>,
}

/// What is watched beside the stream.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    /// Says that the server shuts down.
    pub(super) sentinel: Sentinel<'a>,
    /// Says that positions cannot be recorded.
    pub(super) record: RecordFault,
}

impl<'a> Relay<'a> {
    /// Connects both sides and starts to stream.
    pub(super) async fn open(&mut self) -> Result<(Opened, Watch<'a>), ProducerError> {
        let config = self.config;
        if let Some(sink) = &self.sink
            && sink.check().is_err()
        {
            self.sink = None;
        }
        if self.sink.is_none() {
            self.sink = Some(Sink::open(&config.sink, config.policy.unroutable).await?);
        }
        let sql = Sql::connect(&config.postgres).await?;
        let server = answered(check(&sql)).await?;
        if self.last.is_none()
            && let Some(tables) = &config.tables
        {
            answered(advise(&sql, tables)).await?;
        }
        let free = self.free_slot(&sql).await?;
        self.board.enter(State::Connecting);
        let mut session = answered(Session::connect(&config.postgres)).await?;
        let (system, wal_end) = answered(session.identify_system()).await?;
        let Start {
            position,
            created,
            gap,
        } = self.start(&sql, free, system, wal_end).await?;
        let from = position.acknowledged;
        self.walsender = Some(session.process_id());
        // Without a timeout the server listens all the time.
        let timeout = server.wal_sender_timeout.map(|t| t.min(SERVER_TIMEOUT));
        if let Some(timeout) = timeout.filter(|t| Some(*t) != server.wal_sender_timeout) {
            answered(session.set_timeout(timeout)).await?;
        }
        let streaming = session.stream(&config.slot, from, &config.plugin_options);
        let (reader, writer) = answered(streaming).await?;
        // Three reports fit into the server's patience, whatever that is set to.
        let patience = timeout.map(|timeout| timeout / 3);
        let interval = patience.map_or(config.status_interval, |p| p.min(config.status_interval));
        let file = config.state_file.clone();
        let (recorder, record) = Recorder::new(file, position.clone(), gap.is_none());
        let status = StatusTask::start(writer, interval, recorder);
        self.last = Some(position);
        info!(
            slot = config.slot,
            %from,
            created,
            postgres = config.postgres.address(),
            database = config.postgres.database,
            sink = %Target(&config.sink),
            window = config.policy.window_messages,
            "streaming"
        );
        let opened = Opened {
            reader,
            status,
            system,
            gap,
            busy: watch::Sender::new(false),
        };
        let sentinel = Sentinel::new(&config.postgres, opened.busy.subscribe());
        Ok((opened, Watch { sentinel, record }))
    }
}

/// A sink in the log, without credentials.
struct Target<'a>(&'a config::Sink);

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            config::Sink::Rabbitmq { broker, .. } => {
                write!(f, "exchange {:?} at {}", broker.exchange, broker.url)
            }
            config::Sink::Stdout => f.write_str("stdout"),
        }
    }
}
