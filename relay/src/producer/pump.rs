use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pgevents_proto::{DecodeError, Decoder};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    ProducerError,
    notices::Notices,
    session::{Opened, Watch},
};
use crate::{
    config::Producer,
    delivery::{Feed, Next, Oversized, Unroutable, mutant},
    metrics::{Board, State},
    postgres::PostgresError,
    publish::{Health, Outcome, PublishError, Sink},
    shutdown::Shutdown,
    walsender::{self, Reader, StatusTask},
};

/// How often clocks are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the last report, with its position on the disk, and the server's end of the stream may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long what is on its way may take to arrive when the server shuts down.
const LAST_CONFIRMS: Duration = Duration::from_secs(1);

/// One session: does what the core decides, between the stream and the sink.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    config: &'a Producer,
    reader: Reader,
    status: StatusTask,
    out: Out<'a>,
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

/// The part behind the decoder.
#[derive(Debug)]
struct Out<'a> {
    feed: &'a mut Feed,
    board: &'a Board,
    sink: Sink,
    blocked: bool,
    /// Whether something was on its way at the last tick.
    busy: watch::Sender<bool>,
    clock: Clock,
    outcomes: Vec<Outcome>,
    notices: Notices,
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

impl<'a> Pump<'a> {
    pub(super) fn new(
        config: &'a Producer,
        opened: Opened,
        sink: Sink,
        feed: &'a mut Feed,
        board: &'a Board,
    ) -> Self {
        feed.start(opened.system.id, Duration::ZERO);
        board.enter(State::Streaming);
        let notices = Notices::since(feed.delivery.counts());
        let mut out = Out {
            feed,
            board,
            sink,
            blocked: false,
            busy: opened.busy,
            clock: Clock::start(),
            outcomes: Vec::new(),
            notices,
        };
        if let Some(gap) = &opened.gap {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
            out.feed.announce(gap, micros, &mut out.sink);
        }
        Self {
            config,
            reader: opened.reader,
            status: opened.status,
            out,
        }
    }

    /// Runs until something fails, or until a requested stop is complete. Returns the sink if
    /// another session may use it.
    pub(super) async fn run(
        mut self,
        mut watch: Watch<'_>,
        shutdown: &Shutdown,
    ) -> (Result<(), ProducerError>, Option<Sink>) {
        let limit = self.config.shutdown_timeout;
        let end = tokio::select! {
            biased;
            said = watch.sentinel.server_stops() => End::ServerStops(said),
            fault = watch.record.wait() => End::Failed(fault.into()),
            streamed = self.stream(shutdown) => match streamed {
                Ok(()) => End::Complete,
                Err(failure) => End::Failed(failure),
            },
            () = async { shutdown.requested().await; sleep(limit).await } => End::Late,
        };
        if matches!(end, End::ServerStops(_)) {
            self.last_confirms().await;
        }
        let Self {
            status,
            reader,
            mut out,
            ..
        } = self;
        if let Some(event) = out.feed.take_oversized() {
            out.notices.oversized(event);
        }
        out.notices.tell(out.feed.delivery.counts());
        let delivery = &out.feed.delivery;
        let in_flight = delivery.in_flight();
        let mut outcome = match end {
            End::Complete => farewell(status, reader).await.map(|told| {
                let acknowledged = delivery.acknowledge();
                match told {
                    true => info!(%acknowledged, "stopped: everything sent is confirmed"),
                    false => warn!(
                        %acknowledged,
                        "stopped: everything sent is confirmed, but PostgreSQL may not have heard of it: \
                         the last events may be repeated"
                    ),
                }
            }),
            End::ServerStops(said) => {
                // It shuts down whether it reads the last report or not.
                let _ = farewell(status, reader).await;
                Err(ProducerError::ServerStops(said))
            }
            End::Failed(failure) => Err(failure),
            End::Late => {
                warn!(
                    in_flight,
                    after = %delivery.acknowledge(),
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
        let idle = delivery.is_idle() && out.sink.check().is_ok();
        (outcome, idle.then_some(out.sink))
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
        self.status.flushed(self.out.feed.delivery.acknowledge());
    }

    /// Returns when a requested stop has its last confirm and acknowledgement.
    async fn stream(&mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let mut decoder = Decoder::new();
        loop {
            while self.out.feed.delivery.next() == Next::Read {
                let Some(message) = self.reader.message()? else {
                    break;
                };
                self.take(message, &mut decoder).await?;
            }
            let delivery = &mut self.out.feed.delivery;
            self.status.flushed(delivery.acknowledge());
            if mutant::STATUS_FROM_PUBLISHER {
                self.status.reply();
            }
            let reading = match delivery.next() {
                Next::Finish => return Ok(()),
                Next::Wait => false,
                Next::Read => true,
            };
            tokio::select! {
                biased;
                confirmed = self.out.sink.outcomes(&mut self.out.outcomes) => {
                    confirmed?;
                    self.out.settle()?;
                }
                filled = self.reader.fill(), if reading => {
                    filled?;
                    delivery.heard();
                }
                now = self.out.clock.tick() => self.out.look_at_clock(now, &self.status)?,
                () = shutdown.requested(), if !shutdown.is_requested() => {}
            }
            if shutdown.is_requested() {
                self.out.feed.delivery.stop();
                self.out.board.enter(State::Stopping);
            }
        }
    }

    async fn take(
        &mut self,
        message: walsender::Message,
        decoder: &mut Decoder,
    ) -> Result<(), ProducerError> {
        match message {
            walsender::Message::XLogData { lsn, frame } => {
                self.out.feed.delivery.received(lsn, frame.len() as u64);
                self.frame(&frame, decoder).await
            }
            walsender::Message::Keepalive { wal_end, reply } => {
                let delivery = &mut self.out.feed.delivery;
                delivery.keepalive(wal_end);
                self.status.flushed(delivery.acknowledge());
                if reply {
                    self.status.reply();
                }
                Ok(())
            }
            walsender::Message::Done => Err(ProducerError::Ended),
        }
    }

    async fn frame(&mut self, frame: &Bytes, decoder: &mut Decoder) -> Result<(), ProducerError> {
        let out = &mut self.out;
        let mut events = decoder.frame(frame);
        loop {
            let event = Feed::next(&mut events).map_err(|error| out.undecodable(error))?;
            let Some(event) = event else { return Ok(()) };
            let taken = out.feed.event(event, &mut out.sink);
            taken.map_err(|event| out.too_large(event))?;
            if !out.feed.delivery.has_room() {
                out.make_room(&self.status).await?;
            }
        }
    }
}

impl Out<'_> {
    /// Waits until the window has room again; the position moves on meanwhile.
    async fn make_room(&mut self, status: &StatusTask) -> Result<(), ProducerError> {
        while !self.feed.delivery.has_room() {
            tokio::select! {
                biased;
                confirmed = self.sink.outcomes(&mut self.outcomes) => {
                    confirmed?;
                    self.settle()?;
                    status.flushed(self.feed.delivery.acknowledge());
                }
                now = self.clock.tick() => self.look_at_clock(now, status)?,
            }
        }
        Ok(())
    }

    /// Takes note of what the sink says.
    fn settle(&mut self) -> Result<(), ProducerError> {
        let delivery = &mut self.feed.delivery;
        for outcome in self.outcomes.drain(..) {
            match outcome {
                Outcome::Confirmed(confirmed) => delivery.confirmed(confirmed),
                Outcome::Returned(message, returned) => {
                    match delivery.returned(message, returned.parked) {
                        Unroutable::Park => {
                            self.notices.returned(&returned);
                            self.sink.park(message, *returned);
                        }
                        Unroutable::Drop => self.notices.returned(&returned),
                        Unroutable::Stop => return Err(PublishError::Unroutable(returned).into()),
                        Unroutable::Block if returned.parked => {
                            return Err(PublishError::NotParked(returned).into());
                        }
                        Unroutable::Block => return Err(PublishError::Returned(returned).into()),
                    }
                }
                Outcome::Nacked(message) => delivery.nacked(message)?,
            }
        }
        Ok(())
    }

    fn look_at_clock(&mut self, now: Duration, status: &StatusTask) -> Result<(), ProducerError> {
        if let Some(event) = self.feed.take_oversized() {
            self.notices.oversized(event);
        }
        self.notices.tick(now, self.feed.delivery.counts());
        let blocked = match self.sink.check()? {
            Health::Ready => false,
            Health::Blocked => true,
        };
        if blocked != self.blocked && matches!(self.sink, Sink::Rabbitmq(_)) {
            match blocked {
                true => warn!("the broker takes no events (resource alarm): waiting"),
                false => info!("the broker takes events again"),
            }
        }
        self.blocked = blocked;
        self.feed.delivery.blocked(blocked);
        let busy = !self.feed.delivery.is_idle();
        self.busy
            .send_if_modified(|was| std::mem::replace(was, busy) != busy);
        if self.feed.delivery.tick(now)? {
            status.ping();
        }
        self.board.flows(self.feed.delivery.flow(now), self.feed);
        Ok(())
    }

    fn too_large(&self, event: Box<Oversized>) -> ProducerError {
        let limit = self.feed.delivery.policy().max_message_bytes;
        ProducerError::TooLarge { event, limit }
    }

    fn undecodable(&self, error: DecodeError) -> ProducerError {
        match error {
            DecodeError::Version(_) => ProducerError::Version(error),
            source => ProducerError::Frame {
                after: self.feed.delivery.acknowledge(),
                source,
            },
        }
    }
}

/// Makes the last report, and sees the server end the stream: whether that was in time.
async fn farewell(status: StatusTask, mut reader: Reader) -> Result<bool, ProducerError> {
    let ending = async {
        status.close().await.map_err(ProducerError::Status)?;
        // The server reads the report before it closes; what it still sends will come again.
        while reader.fill().await.is_ok() {
            while let Ok(Some(_)) = reader.message() {}
        }
        Ok(true)
    };
    timeout(FAREWELL, ending).await.unwrap_or(Ok(false))
}
