//! One session: the loop between a source and a sink.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    ProducerError, Streaming,
    feed::{Feed, FeedFault, Oversized},
    notices::Notices,
};
use crate::{
    delivery::{Commit, Next, Unroutable},
    metrics::Board,
    phase::Phase,
    position::{Gap, RecordFault, System},
    postgres::PostgresError,
    shutdown::Shutdown,
    sink::{Health, Outcome, Sink, SinkError, Unrouted},
    source::{Input, Source, SourceError},
    standstill::Standstill,
};

/// How often clocks are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the last report, with its position on the disk, and the server's end of the stream may
/// take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long what is on its way may take to arrive when the server shuts down.
const LAST_CONFIRMS: Duration = Duration::from_secs(1);

/// One session: does what the core decides, between a source and a sink.
#[derive(Debug)]
pub(super) struct Pump<'a, S, K> {
    source: S,
    out: Out<'a, K>,
}

/// What a session starts with, beside its ends.
pub(super) struct Session<'a> {
    pub(super) system: System,
    /// What has arrived of what the source gives again.
    pub(super) known: Option<Known>,
    /// What consumers have to be told first.
    pub(super) gap: Option<Gap>,
    pub(super) feed: &'a mut Feed,
    pub(super) board: &'a Board,
    pub(super) shutdown: &'a Shutdown,
    pub(super) shutdown_timeout: Duration,
    /// Says that positions cannot be recorded.
    pub(super) record: RecordFault,
}

/// What a source that starts where the slot stands gives again.
#[derive(Debug)]
pub(super) struct Known {
    /// The last of what has arrived.
    pub(super) last: Commit,
    /// What it means if it does not come as it was.
    pub(super) rewound: Gap,
}

/// Why a session is over.
enum End {
    /// A requested stop has its last confirm.
    Complete,
    /// A requested stop takes too long.
    Late,
    /// The server shuts down.
    ServerStops(PostgresError),
    /// Something else.
    Failed(ProducerError),
}

/// What the server waits for after an input.
#[derive(PartialEq, Eq)]
enum Due {
    Nothing,
    Reply,
}

/// The part behind the source.
#[derive(Debug)]
struct Out<'a, K> {
    feed: &'a mut Feed,
    board: &'a Board,
    sink: K,
    health: Health,
    /// Whether something was on its way at the last tick.
    busy: watch::Sender<bool>,
    clock: Clock,
    outcomes: Vec<Outcome>,
    notices: Notices,
    /// What it means if what has arrived does not come again.
    rewound: Option<Gap>,
    standstill: Standstill,
}

/// Ticks with the time since they started.
#[derive(Debug)]
struct Clock {
    start: Instant,
    ticks: Interval,
}

impl Clock {
    fn start() -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = Instant::now();
        Self { start, ticks }
    }

    async fn tick(&mut self) -> Duration {
        self.ticks.tick().await - self.start
    }
}

/// Runs a session until something fails, or until a requested stop is complete. Returns the sink if
/// another session may use it.
pub(super) async fn run<S: Source, K: Sink>(
    streaming: Streaming<S>,
    sink: K,
    session: Session<'_>,
) -> (Result<(), ProducerError>, Option<K>) {
    let Session {
        system,
        known,
        gap,
        feed,
        board,
        shutdown,
        shutdown_timeout,
        mut record,
    } = session;
    let (mut pump, server_stops) = Pump::start(streaming, sink, (system, known), feed, board);
    if let Some(gap) = &gap {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        pump.out.feed.announce(gap, micros, &mut pump.out.sink);
    }
    let end = tokio::select! {
        biased;
        said = server_stops => End::ServerStops(said),
        fault = record.wait() => End::Failed(fault.into()),
        streamed = pump.stream(shutdown) => match streamed {
            Ok(()) => End::Complete,
            Err(failure) => End::Failed(failure),
        },
        () = async { shutdown.requested().await; sleep(shutdown_timeout).await } => End::Late,
    };
    if matches!(end, End::ServerStops(_)) {
        pump.last_confirms().await;
    }
    pump.end(end, record, shutdown).await
}

impl<'a, S: Source, K: Sink> Pump<'a, S, K> {
    fn start(
        streaming: Streaming<S>,
        sink: K,
        (system, known): (System, Option<Known>),
        feed: &'a mut Feed,
        board: &'a Board,
    ) -> (Self, impl Future<Output = PostgresError> + use<S, K>) {
        let Streaming {
            source,
            timelines,
            server_stops,
            busy,
            longest_standstill,
        } = streaming;
        let (last, rewound) = known.map(|known| (known.last, known.rewound)).unzip();
        feed.start(system, timelines, sink.limits(), last, Duration::ZERO);
        board.enter(Phase::Streaming);
        let notices = Notices::since(feed.delivery.counts());
        let out = Out {
            feed,
            board,
            sink,
            health: Health::Ready,
            busy,
            clock: Clock::start(),
            outcomes: Vec::new(),
            notices,
            rewound,
            standstill: Standstill::of(longest_standstill),
        };
        (Self { source, out }, server_stops)
    }

    /// Returns when a requested stop has its last confirm and acknowledgement.
    async fn stream(&mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let Self { source, out } = self;
        loop {
            while out.feed.delivery.next() == Next::Read {
                let input = source.next().map_err(|error| out.of_source(error))?;
                let Some(input) = input else { break };
                if out.take(input)? == Due::Reply {
                    source.acknowledge(out.feed.delivery.acknowledged());
                    source.reply();
                }
            }
            source.acknowledge(out.feed.delivery.acknowledged());
            let reading = match out.feed.delivery.next() {
                Next::Finish => return Ok(()),
                Next::Wait => false,
                Next::Read => true,
            };
            tokio::select! {
                biased;
                confirmed = out.sink.outcomes(&mut out.outcomes) => {
                    confirmed?;
                    out.settle()?;
                }
                filled = source.fill(), if reading => {
                    filled.map_err(|error| out.of_source(error))?;
                    out.feed.delivery.heard();
                }
                now = out.clock.tick() => {
                    if out.look_at_clock(now)? {
                        source.ask();
                    }
                }
                () = shutdown.requested(), if !shutdown.is_requested() => {}
            }
            out.look_for_standstill()?;
            if shutdown.is_requested() {
                out.feed.delivery.stop();
                out.board.enter(Phase::Stopping);
            }
        }
    }

    /// Lets what is on its way arrive, if it does so soon; the less there is to repeat.
    async fn last_confirms(&mut self) {
        let out = &mut self.out;
        let arriving = async {
            while out.feed.delivery.in_flight() > 0 {
                out.sink.outcomes(&mut out.outcomes).await?;
                out.settle()?;
            }
            Ok::<(), ProducerError>(())
        };
        if !matches!(timeout(LAST_CONFIRMS, arriving).await, Ok(Ok(()))) {
            debug!("the server shuts down before the last confirms");
        }
        self.source
            .acknowledge(self.out.feed.delivery.acknowledged());
    }

    /// Ends a session; as [`run`].
    async fn end(
        self,
        end: End,
        mut record: RecordFault,
        shutdown: &Shutdown,
    ) -> (Result<(), ProducerError>, Option<K>) {
        let Self { source, mut out } = self;
        if let Some(event) = out.feed.take_oversized() {
            out.notices.oversized(event);
        }
        out.notices.tell(out.feed.delivery.counts());
        let in_flight = out.feed.delivery.in_flight();
        let acknowledged = out.feed.delivery.acknowledged().wal;
        let mut outcome = match end {
            End::Complete => match (farewell(source).await, record.take()) {
                (Err(failure), _) => Err(failure),
                // What is not in the file is not acknowledged either.
                (Ok(_), Some(fault)) => Err(fault.into()),
                (Ok(true), None) => {
                    info!(%acknowledged, "stopped: everything sent is confirmed");
                    Ok(())
                }
                (Ok(false), None) => {
                    warn!(
                        %acknowledged,
                        "stopped: everything sent is confirmed, but PostgreSQL may not have heard of \
                         it: the last events may be repeated"
                    );
                    Ok(())
                }
            },
            End::ServerStops(said) => {
                // It shuts down whether it reads the last report or not.
                let _ = farewell(source).await;
                Err(ProducerError::ServerStops(said))
            }
            End::Failed(failure) => Err(failure),
            End::Late => {
                warn!(
                    in_flight,
                    after = %acknowledged,
                    held_by = %out.feed.delivery.held_by(),
                    "stopped without all confirms: what follows will be sent again"
                );
                Ok(())
            }
        };
        if let (Err(failure), true) = (&outcome, shutdown.is_requested()) {
            warn!(
                in_flight,
                "stopped by a failure, sent events may be repeated: {failure}"
            );
            outcome = Ok(());
        }
        // Kept for the next session only if nothing is on its way; otherwise a confirm of this
        // session could be taken for one of the next.
        let idle = out.feed.delivery.is_idle() && out.sink.health().is_ok();
        (outcome, idle.then_some(out.sink))
    }
}

impl<K: Sink> Out<'_, K> {
    /// Takes one thing that the source gives.
    fn take(&mut self, input: Input<'_>) -> Result<Due, ProducerError> {
        match input {
            Input::Data { lsn, bytes } => {
                self.look_for_standstill()?;
                self.feed.delivery.received(lsn, bytes);
            }
            Input::Event(event) => {
                let taken = self.feed.event(event, &mut self.sink);
                taken.map_err(|fault| self.of_feed(fault))?;
            }
            Input::SentUpTo { wal_end, reply } => {
                let sent = self.feed.sent_up_to(wal_end);
                sent.map_err(|fault| self.of_feed(fault))?;
                if reply {
                    return Ok(Due::Reply);
                }
            }
            Input::Ended => return Err(ProducerError::Ended),
        }
        Ok(Due::Nothing)
    }

    /// Takes note of what the sink says.
    fn settle(&mut self) -> Result<(), ProducerError> {
        let delivery = &mut self.feed.delivery;
        for outcome in self.outcomes.drain(..) {
            match outcome {
                Outcome::Confirmed(message) => delivery.confirmed(message),
                Outcome::Parked(message, unrouted) => {
                    delivery.parked(message);
                    self.notices.unrouted(unrouted);
                }
                Outcome::Dropped(message, unrouted) => {
                    delivery.dropped(message);
                    self.notices.unrouted(unrouted);
                }
                Outcome::Unrouted(message, unrouted) => {
                    delivery.unrouted(message);
                    return Err(unroutable(delivery.policy().unroutable, unrouted).into());
                }
                Outcome::Nacked(message) => delivery.nacked(message)?,
            }
        }
        Ok(())
    }

    /// Looks at all that depends on the time. Returns whether the server is to be asked for a sign
    /// of life.
    fn look_at_clock(&mut self, now: Duration) -> Result<bool, ProducerError> {
        if let Some(event) = self.feed.take_oversized() {
            self.notices.oversized(event);
        }
        self.notices.tick(now, self.feed.delivery.counts());
        let health = self.sink.health()?;
        let held_by = self.feed.delivery.held_by();
        match (self.health, health) {
            (Health::Ready, Health::Blocked) => {
                warn!(%held_by, "the broker takes no events (resource alarm): waiting");
            }
            (Health::Blocked, Health::Ready) => info!("the broker takes events again"),
            _ => {}
        }
        self.health = health;
        self.feed.delivery.blocked(health != Health::Ready);
        let busy = !self.feed.delivery.is_idle();
        self.busy
            .send_if_modified(|was| std::mem::replace(was, busy) != busy);
        let ask = self.feed.delivery.tick(now)?;
        let flow = self.feed.delivery.flow(now);
        self.board.flows(flow, self.feed.post());
        Ok(ask)
    }

    /// Nothing that was read before a standstill is sent after it: another relay may have sent it,
    /// and newer events.
    fn look_for_standstill(&mut self) -> Result<(), ProducerError> {
        match self.standstill.look() {
            None => Ok(()),
            Some(stood) => Err(ProducerError::StoodStill(stood)),
        }
    }

    fn of_feed(&mut self, fault: FeedFault) -> ProducerError {
        match (fault, self.rewound.take()) {
            (FeedFault::TooLarge(event), _) => self.too_large(event),
            (FeedFault::Rewound, Some(gap)) => ProducerError::Gap(gap),
            // Nothing was known, so nothing can be missing of it.
            (FeedFault::Rewound, None) => ProducerError::Ended,
        }
    }

    fn too_large(&self, event: Box<Oversized>) -> ProducerError {
        let limit = self.sink.limits().largest_body.unwrap_or(u64::MAX);
        ProducerError::TooLarge { event, limit }
    }

    fn of_source(&self, error: SourceError) -> ProducerError {
        ProducerError::of_source(error, self.feed.delivery.acknowledged().wal)
    }
}

/// What it means that nothing takes the place of a message that no queue wants.
fn unroutable(policy: Unroutable, unrouted: Unrouted) -> SinkError {
    match policy {
        Unroutable::Stop => SinkError::Unroutable(unrouted),
        _ if unrouted.parking => SinkError::NotParked(unrouted),
        Unroutable::Block | Unroutable::Park | Unroutable::Drop => SinkError::Unrouted(unrouted),
    }
}

/// Makes the last report, and sees the server end the stream: whether that was in time.
async fn farewell(source: impl Source) -> Result<bool, ProducerError> {
    match timeout(FAREWELL, source.close()).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => Err(ProducerError::of_source(
            error,
            pgevents_proto::Lsn::INVALID,
        )),
        Err(_) => Ok(false),
    }
}
