use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{ProducerError, Relay};
use crate::{
    config,
    delivery::resume_after,
    health,
    postgres::{Known, PostgresError, Slot, Sql, advise, check},
    publish::Sink,
    walsender::{Reader, Session, StatusTask, System},
};

/// How often a relay in waiting looks whether the slot is free; the server does not tell.
const SLOT_POLL: Duration = Duration::from_millis(500);

/// A running stream.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) status: StatusTask,
    pub(super) system: System,
}

impl Relay<'_> {
    /// Connects both sides and starts to stream.
    pub(super) async fn open(&mut self) -> Result<Opened, ProducerError> {
        let config = self.config;
        if let Some(sink) = &self.sink
            && sink.check().is_err()
        {
            self.sink = None;
        }
        if self.sink.is_none() {
            self.sink = Some(Sink::open(&config.sink).await?);
        }
        let sql = Sql::connect(&config.postgres).await?;
        let server = check(&sql).await?;
        let slot = self.slot(&sql).await?;
        if self.acknowledged.is_none()
            && let Some(tables) = &config.tables
        {
            advise(&sql, tables).await?;
        }
        // Further on than before only where another relay had the slot in between.
        self.acknowledged = self.acknowledged.max(Some(slot.confirmed_flush));
        drop(sql);
        let mut session = Session::connect(&config.postgres).await?;
        let system = session.identify_system().await?;
        let same_wal = self.system == Some(system);
        let from = resume_after(self.acknowledged, slot.confirmed_flush, same_wal);
        self.recognise(system)?;
        let (reader, writer) = session
            .stream(&config.slot, from, &config.plugin_options)
            .await?;
        // Three reports fit into the server's patience, whatever that is set to.
        let patience = server.wal_sender_timeout.map(|timeout| timeout / 3);
        let interval = patience.map_or(config.status_interval, |p| p.min(config.status_interval));
        let status = StatusTask::start(writer, interval);
        info!(
            slot = config.slot,
            %from,
            created = slot.created,
            postgres = config.postgres.address(),
            database = config.postgres.database,
            sink = %Target(&config.sink),
            window = config.policy.window_messages,
            "streaming"
        );
        Ok(Opened {
            reader,
            status,
            system,
        })
    }

    /// Waits until the slot is there and no other relay reads it.
    async fn slot(&self, sql: &Sql<'_>) -> Result<Slot, PostgresError> {
        let mut known = self
            .acknowledged
            .map_or(Known::Nothing, Known::Acknowledged);
        // Standing by is work too.
        let _working = health::working();
        loop {
            let slot = Slot::prepare(sql, &self.config.slot, known).await?;
            let Some(pid) = slot.active_pid else {
                return Ok(slot);
            };
            if known != Known::InOtherHands {
                warn!(
                    slot = self.config.slot,
                    pid, "slot is in use: waiting until it is free"
                );
                known = Known::InOtherHands;
            }
            sleep(SLOT_POLL).await;
        }
    }

    fn recognise(&mut self, system: System) -> Result<(), ProducerError> {
        match self.system {
            Some(before) if before.id != system.id => Err(ProducerError::OtherSystem {
                before: before.id,
                found: system.id,
            }),
            Some(before) if before.timeline != system.timeline => {
                warn!(
                    before = before.timeline,
                    now = system.timeline,
                    "PostgreSQL has another timeline after a promotion"
                );
                self.system = Some(system);
                Ok(())
            }
            Some(_) | None => {
                self.system = Some(system);
                Ok(())
            }
        }
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
