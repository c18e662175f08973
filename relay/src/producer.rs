//! The one loop: slot → events → sink → acknowledgement, and over again after any failure.

mod arrived;
mod backlog;
mod ends;
mod error;
mod feed;
mod live;
mod notices;
mod plan;
mod pump;
mod settings;

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tracing::{error, info, warn};

pub use ends::{Ends, Seen, Server, Streaming};
pub use error::ProducerError;
pub use feed::{Feed, MESSAGE_PREFIX, Oversized};
pub use live::LiveEnds;
pub use plan::Plan;
pub use settings::Settings;

use crate::{
    backoff::Backoff,
    delivery::Acknowledged,
    exit::{Chain, Exit, Fate},
    heartbeat,
    metrics::Board,
    phase::Phase,
    position::{Before, Found, Gap, Position, RecordFault, Recorder, Start},
    shutdown::Shutdown,
    sink::{Claim, Sink, SinkError},
    throttle::Failures,
};

/// How long the broker may take in silence to let go of what a dead relay had.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// What outlives a session.
struct Relay<'a, E: Ends> {
    ends: &'a E,
    plan: &'a Plan<E::Disk>,
    shutdown: &'a Shutdown,
    sink: Option<E::Sink>,
    /// The furthest that may be acknowledged, or where the slot stood at first.
    last: Option<Position>,
    feed: Feed,
    board: &'a Board,
    failures: Failures,
    /// The server was set back, as the last session has found, and that is accepted.
    rewound: Option<Gap>,
    /// Whether the operator has been told that the sink has no lock.
    unfenced: bool,
}

/// Runs until a stop is requested or something only an operator can mend. What monitoring may know
/// goes to `board`.
///
/// # Errors
///
/// What has to be mended; its [`ProducerError::fate`] holds the exit code.
pub async fn run<E: Ends>(
    ends: &E,
    plan: &Plan<E::Disk>,
    shutdown: &Shutdown,
    board: &Board,
) -> Result<(), ProducerError> {
    let mut relay = Relay {
        ends,
        plan,
        shutdown,
        sink: None,
        last: None,
        feed: Feed::new(plan.policy),
        board,
        failures: Failures::default(),
        rewound: None,
        unfenced: false,
    };
    let mut backoff = Backoff::new();
    loop {
        let before = relay.acknowledged();
        let failure = match relay.session().await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        board.failed(failure.side(), relay.feed.post());
        board.enter(Phase::Connecting);
        if before.is_some_and(|before| {
            relay
                .acknowledged()
                .is_some_and(|acknowledged| acknowledged.is_beyond(before))
        }) {
            backoff.reset();
            relay.failures.forget();
        }
        let mut delay = backoff.next(fastrand::f64());
        match failure.fate() {
            Fate::Stop(Exit::Clean) => {
                info!("{}", Chain(&failure));
                return Ok(());
            }
            Fate::Stop(_) if relay.accepts(&failure) => continue,
            Fate::Stop(_) if relay.may_pass(&failure) => relay.report(&failure, delay),
            Fate::Stop(_) => return Err(failure),
            Fate::Wait => {
                info!("{}", Chain(&failure));
                delay = live::SLOT_POLL;
            }
            Fate::Retry => relay.report(&failure, delay),
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = sleep(delay) => {}
        }
    }
}

/// A stream that has just been started.
struct Opened<S> {
    streaming: Streaming<S>,
    start: Start,
    record: RecordFault,
}

/// What the server of these ends streams.
type SourceOf<'a, E> = <<E as Ends>::Server<'a> as Server>::Source;

impl<'a, E: Ends> Relay<'a, E> {
    /// One connection to each side, until it fails or the relay is stopped.
    async fn session(&mut self) -> Result<(), ProducerError> {
        let shutdown = self.shutdown;
        let opened = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            opened = self.open() => opened?,
        };
        let (opened, sink) = opened;
        let Start {
            position,
            from,
            known,
            gap,
            ..
        } = opened.start;
        let rewound = Gap::rewound(position.clone(), from);
        let session = pump::Session {
            system: position.system,
            known: known.map(|last| pump::Known { last, rewound }),
            gap: gap.clone(),
            feed: &mut self.feed,
            board: self.board,
            shutdown,
            shutdown_timeout: self.plan.shutdown_timeout,
            record: opened.record,
        };
        let working = heartbeat::working();
        let (outcome, sink) = pump::run(opened.streaming, sink, session).await;
        drop(working);
        self.sink = sink;
        let acknowledged = self.feed.delivery.acknowledged();
        if acknowledged != Acknowledged::default() {
            self.rewound = None;
        }
        match (&mut self.last, gap) {
            // Consumers do not know of it yet.
            (last, Some(gap)) if acknowledged == Acknowledged::default() => *last = Some(*gap.from),
            (Some(last), _) => last.acknowledged = last.acknowledged.max(acknowledged),
            (None, _) => {}
        }
        outcome
    }

    /// Connects both sides and starts to stream. The sink of the last session is used again if it
    /// still stands.
    async fn open(&mut self) -> Result<(Opened<SourceOf<'a, E>>, E::Sink), ProducerError> {
        let (ends, board) = (self.ends, self.board);
        let kept = self.sink.take().filter(|sink| sink.health().is_ok());
        let sink = match kept {
            Some(sink) => sink,
            None => ends.open_sink().await?,
        };
        let held = RefCell::new(Some(sink));
        let enter = |phase| {
            board.enter(phase);
            // A relay in waiting does not keep the lock that the one with the slot waits for.
            if phase == Phase::Standby {
                drop(held.take());
            }
        };
        // Whether somebody had the lock while the slot was free, and whether that was said.
        let (mut locked_out, mut warned) = (false, false);
        loop {
            // Nor does one that cannot reach the server: its sink goes with a failure.
            let server = ends.connect(&enter).await?;
            let mut sink = match held.take() {
                Some(sink) => sink,
                None => {
                    locked_out = false;
                    ends.open_sink().await?
                }
            };
            let stream = format!("{:016x}.{}", server.seen().system.id, self.plan.slot);
            if !self.claims(&mut sink, &stream).await? {
                // Whoever has the lock may have the slot too; what was seen may change meanwhile.
                drop(server);
                if locked_out {
                    board.enter(Phase::Standby);
                    if !std::mem::replace(&mut warned, true) {
                        warn!(
                            "the broker still has an earlier connection of this slot's relay: \
                             waiting until it has noticed that it is dead"
                        );
                    }
                }
                locked_out = !self.gets_lock(&mut sink, &stream).await?;
                held.replace(Some(sink));
                continue;
            }
            return match self.open_source(server).await {
                Ok(opened) => Ok((opened, sink)),
                Err(failure) => {
                    self.sink = Some(sink);
                    Err(failure)
                }
            };
        }
    }

    /// Whether the sink knows of no other relay of this slot: one that stood still may not know
    /// that it has lost the slot.
    async fn claims(&mut self, sink: &mut E::Sink, stream: &str) -> Result<bool, SinkError> {
        match sink.claim(stream).await? {
            Claim::Sole => Ok(true),
            Claim::Taken => Ok(false),
            Claim::Unknown(lock) => {
                if !std::mem::replace(&mut self.unfenced, true) {
                    warn!(
                        lock,
                        "the broker's user may not declare the queue that locks the stream, so a \
                         relay that stands still and wakes up may send events that are out of date: \
                         permit it, or use --fence off"
                    );
                }
                Ok(true)
            }
        }
    }

    /// Waits for a while until the sink knows of no other relay of this slot. One that works has
    /// the slot too, which the caller looks at then.
    async fn gets_lock(&mut self, sink: &mut E::Sink, stream: &str) -> Result<bool, SinkError> {
        let begun = Instant::now();
        let mut poll = live::FIRST_POLL;
        // Standing by is work too.
        let _working = heartbeat::working();
        while begun.elapsed() < LOCK_PATIENCE {
            sleep(poll).await;
            if self.claims(sink, stream).await? {
                return Ok(true);
            }
            poll = (poll * 2).min(live::SLOT_POLL);
        }
        Ok(false)
    }

    /// Decides where to go on, brings the decision to the state file, and starts to stream.
    async fn open_source(
        &mut self,
        server: E::Server<'a>,
    ) -> Result<Opened<SourceOf<'a, E>>, ProducerError> {
        let plan = self.plan;
        let start = self.start(&server).await?;
        let Start {
            position,
            from,
            gap,
            ..
        } = &start;
        // A gap that consumers have to be told of is not over before they are.
        if let (Some(file), None) = (&plan.state_file, gap) {
            file.save(position.clone(), plan.accept_gap).await?;
        }
        let file = plan.state_file.clone();
        let (recorder, record) = Recorder::new(file, position.clone(), *from, gap.is_none());
        let streaming = server.stream(*from, recorder).await?;
        self.last = Some(position.clone());
        if gap.is_none() {
            self.rewound = None;
        }
        Ok(Opened {
            streaming,
            start,
            record,
        })
    }

    /// Decides where to go on, and creates the slot if there was none yet.
    async fn start(&self, server: &impl Server) -> Result<Start, ProducerError> {
        let Plan {
            slot,
            database,
            asked,
            ..
        } = self.plan;
        let Seen {
            system,
            wal_end,
            slot: found,
            others,
        } = server.seen();
        let recorded = match &self.plan.state_file {
            Some(file) => file.read(slot, database)?,
            None => None,
        };
        let before = Before::new(recorded, self.last.clone(), others);
        let (lsn, missing) = match found {
            Some(lsn) => (lsn, None),
            None => {
                let missing = before.without_slot(slot, database, system);
                if let (Some(gap), false) = (&missing, self.plan.accept_gap) {
                    return Err(ProducerError::Gap(gap.clone()));
                }
                (self.create_slot(server).await?, missing)
            }
        };
        let found = Found {
            slot: Position::new(slot, database, system, lsn.into()).asking(*asked),
            wal_end,
            missing,
        };
        let start = match self.rewound.clone() {
            Some(gap) => Ok(Start::behind(gap, found)),
            None => before.start(found, self.plan.accept_gap),
        };
        let mut start = start.map_err(ProducerError::Gap)?;
        if start.moved_by_another {
            info!(at = %lsn, "another relay has moved the slot on");
        }
        if let Some(gap) = start.gap.take() {
            warn!("{gap}: accepted, going on at {lsn}");
            start.gap = self.plan.gap_record.then_some(gap);
        }
        Ok(start)
    }

    /// Creates the slot, but not if its position could not be kept.
    async fn create_slot(
        &self,
        server: &impl Server,
    ) -> Result<pgevents_proto::Lsn, ProducerError> {
        if let Some(file) = &self.plan.state_file {
            file.probe()?;
        }
        let from = server.create_slot().await?;
        info!(slot = self.plan.slot, %from, "created the slot");
        Ok(from)
    }

    /// Whether a session that has found the server set back is followed by one that goes on there.
    fn accepts(&mut self, failure: &ProducerError) -> bool {
        match failure {
            ProducerError::Gap(gap) if self.plan.accept_gap && self.rewound.is_none() => {
                self.rewound = Some(gap.clone());
                true
            }
            _ => false,
        }
    }

    /// The furthest that may be acknowledged; `None` before the first session.
    fn acknowledged(&self) -> Option<Acknowledged> {
        self.last.as_ref().map(|last| last.acknowledged)
    }

    /// Whether a refusal is waited out: it has worked before. A password, a certificate or a
    /// permission is being changed, a limit is reached, or an address leads elsewhere for a while.
    fn may_pass(&self, failure: &ProducerError) -> bool {
        let delivered = self.feed.delivery.counts().confirmed > 0;
        failure.may_pass(self.last.is_some(), delivered)
    }

    /// Says what ended a session, but not the same again and again.
    fn report(&mut self, failure: &ProducerError, delay: Duration) {
        let text = Chain(failure).to_string();
        let Some(times) = self.failures.due(&text, Instant::now()) else {
            return;
        };
        let delay_ms = delay.as_millis() as u64;
        if let ProducerError::Sink(SinkError::Unrouted(_) | SinkError::NotParked(_)) = failure {
            let returned = self.feed.delivery.counts().returned;
            error!(delay_ms, times, returned, "{text}: reconnect and try again");
        } else if self.may_pass(failure) {
            error!(
                delay_ms,
                times, "{text}: it has worked before, so reconnect and try again"
            );
        } else {
            warn!(delay_ms, times, "{text}: reconnect");
        }
    }
}
