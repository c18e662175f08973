//! The ends as configured: PostgreSQL and the sink.

use std::{cell::Cell, time::Duration};

use pgevents_proto::{Lsn, PROTOCOL_VERSION};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{Ends, ProducerError, Seen, Server, Settings, Streaming};
use crate::{
    exit::Chain,
    heartbeat,
    phase::Phase,
    position::{LocalDisk, Recorder, Timelines},
    postgres::{NameFault, PostgresError, Sentinel, Slot, Sql, check, misnamed},
    replication::{Session, StatusTask},
    sink::{AnySink, SinkError},
    source::{AnySource, Frames},
};

/// How often a relay in waiting looks whether the slot is free; the server does not tell.
pub(super) const SLOT_POLL: Duration = Duration::from_millis(500);

/// How soon it looks again at first, and twice as late each time: the server may be about to notice
/// that the last reader has died.
pub(super) const FIRST_POLL: Duration = Duration::from_millis(20);

/// Longest time that a server may take to answer; a peer that says nothing is as good as dead.
const ANSWER: Duration = Duration::from_secs(20);

/// Longest `wal_sender_timeout` of a stream, and that of one whose server would wait for ever. Half
/// of it passes until a server that replays what it does not send answers, and that has to be well
/// before its silence counts as death.
const SERVER_TIMEOUT: Duration = Duration::from_secs(12);

/// Shortest `wal_sender_timeout` of a stream: whoever may set it for the database could have each
/// session end before anything gets through.
const LEAST_SERVER_TIMEOUT: Duration = Duration::from_secs(3);

/// Shortest time between two turns of the loop that counts as a standstill: it has a turn each
/// second at least.
const LEAST_STANDSTILL: Duration = Duration::from_secs(2);

/// The servers that the settings name.
#[derive(Debug)]
pub struct LiveEnds<'a> {
    settings: &'a Settings,
    /// The server's process that served the last stream.
    walsender: Cell<Option<i32>>,
    /// Whether the operator has been told of tables that do not exist.
    advised: Cell<bool>,
}

/// PostgreSQL, with an SQL session and one that will stream.
#[derive(Debug)]
pub struct LiveServer<'a> {
    settings: &'a Settings,
    sql: Sql<'a>,
    session: Session,
    walsender: &'a Cell<Option<i32>>,
    timelines: Timelines,
    wal_sender_timeout: Option<Duration>,
    seen: Seen,
}

impl<'a> LiveEnds<'a> {
    /// The ends of these settings; nothing is opened yet.
    pub fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            walsender: Cell::new(None),
            advised: Cell::new(false),
        }
    }

    /// Says which lists name something that is not there. Tables can come later, so it is an error
    /// only if that is asked for. By a session of its own, as a huge catalog may take too long.
    async fn advise(&self) -> Result<(), ProducerError> {
        let Settings { plugin, strict, .. } = self.settings;
        let tables = plugin.tables().or(plugin.exclude_tables());
        if tables.is_none() && plugin.exclude_columns().is_none() {
            return Ok(());
        }
        let sql = Sql::connect(&self.settings.postgres).await?;
        let found = match answered(misnamed(&sql, plugin)).await {
            Ok(found) => found,
            Err(error) if *strict => return Err(error.into()),
            Err(error) => {
                warn!(
                    "look whether the lists name what there is: {}",
                    Chain(&error)
                );
                return Ok(());
            }
        };
        for found in found {
            if *strict && !matches!(found.fault, NameFault::Key(_)) {
                return Err(ProducerError::Misnamed(found));
            }
            warn!("{found}");
        }
        Ok(())
    }

    /// Waits until nobody reads the slot. Returns the slot, and where it stood when another relay
    /// was last seen to have it. Whoever else has it, a function of SQL or another program, moves
    /// it without sending anything: what they take is missing.
    async fn free_slot(
        &self,
        sql: &Sql<'_>,
        enter: &dyn Fn(Phase),
    ) -> Result<(Option<Slot>, Option<Lsn>), PostgresError> {
        let name = &self.settings.plan.slot;
        let (mut others, mut waiting) = (None, false);
        let mut poll = FIRST_POLL;
        // Standing by is work too.
        let _working = heartbeat::working();
        loop {
            let slot = answered(Slot::find(sql, name)).await?;
            let Some((slot, pid)) = slot.and_then(|slot| Some((slot, slot.active_pid?))) else {
                return Ok((slot, others));
            };
            // The server may not have noticed yet that the last session of this relay has ended.
            if Some(pid) != self.walsender.get()
                && answered(Slot::is_read_by_relay(sql, pid)).await?
            {
                others = Some(slot.confirmed_flush);
            }
            if !waiting {
                enter(Phase::Standby);
                warn!(slot = name, pid, "slot is in use: waiting until it is free");
                waiting = true;
            }
            sleep(poll).await;
            poll = (poll * 2).min(SLOT_POLL);
        }
    }
}

impl Ends for LiveEnds<'_> {
    type Sink = AnySink;
    type Server<'a>
        = LiveServer<'a>
    where
        Self: 'a;
    type Disk = LocalDisk;

    async fn open_sink(&self) -> Result<AnySink, SinkError> {
        let Settings { sink, plan, .. } = self.settings;
        AnySink::open(sink, plan.policy.unroutable).await
    }

    async fn connect(&self, enter: &dyn Fn(Phase)) -> Result<LiveServer<'_>, ProducerError> {
        let settings = self.settings;
        let sql = Sql::connect(&settings.postgres).await?;
        let server = answered(check(&sql)).await?;
        if !self.advised.replace(true) {
            self.advise().await?;
        }
        let (slot, others) = self.free_slot(&sql, enter).await?;
        enter(Phase::Connecting);
        let mut session = answered(Session::connect(&settings.postgres)).await?;
        let (system, wal_end) = answered(session.identify_system()).await?;
        let timelines = answered(session.timelines(system.timeline)).await?;
        Ok(LiveServer {
            settings,
            sql,
            session,
            walsender: &self.walsender,
            wal_sender_timeout: server.wal_sender_timeout,
            timelines,
            seen: Seen {
                system,
                wal_end,
                slot: slot.map(|slot| slot.confirmed_flush),
                others,
            },
        })
    }
}

impl Server for LiveServer<'_> {
    type Source = AnySource;
    type Disk = LocalDisk;

    fn seen(&self) -> Seen {
        self.seen
    }

    async fn create_slot(&self) -> Result<Lsn, ProducerError> {
        let slot = Slot::create(&self.sql, &self.settings.plan.slot, false).await?;
        Ok(slot.confirmed_flush)
    }

    async fn stream(
        self,
        from: Lsn,
        recorder: Recorder,
    ) -> Result<Streaming<AnySource>, ProducerError> {
        let Self {
            settings,
            mut session,
            walsender,
            timelines,
            wal_sender_timeout,
            ..
        } = self;
        walsender.set(Some(session.process_id()));
        let timeout = wal_sender_timeout.unwrap_or(SERVER_TIMEOUT);
        let timeout = timeout.clamp(LEAST_SERVER_TIMEOUT, SERVER_TIMEOUT);
        if Some(timeout) != wal_sender_timeout {
            answered(session.set_timeout(timeout)).await?;
        }
        let Settings {
            plan,
            postgres,
            plugin,
            ..
        } = settings;
        // In the highest version of the frames that both sides know.
        let version = PROTOCOL_VERSION.to_string();
        let mut options = vec![("protocol-version", Some(version.as_str()))];
        options.extend(plugin.given());
        let streaming = session.stream(&plan.slot, from, &options);
        let (reader, writer) = answered(streaming).await?;
        // Three reports fit into the server's patience, whatever that is set to.
        let interval = (timeout / 3).min(settings.status_interval);
        let status = StatusTask::start(writer, interval, recorder);
        info!(
            slot = plan.slot,
            %from,
            postgres = postgres.address(),
            database = postgres.database,
            sink = %settings.sink,
            window = plan.policy.window_messages,
            "streaming"
        );
        let busy = watch::Sender::new(false);
        let sentinel = Sentinel::new(postgres.clone(), busy.subscribe());
        Ok(Streaming {
            source: AnySource::Frames(Box::new(Frames::new(reader, status))),
            timelines,
            server_stops: Box::pin(sentinel.server_stops()),
            busy,
            longest_standstill: (timeout / 3).max(LEAST_STANDSTILL),
        })
    }
}

/// Waits for an answer of PostgreSQL, but no longer than [`ANSWER`].
async fn answered<T>(
    answer: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    match timeout(ANSWER, answer).await {
        Ok(outcome) => outcome,
        Err(_) => Err(PostgresError::silent(ANSWER)),
    }
}
