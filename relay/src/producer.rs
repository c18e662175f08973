//! The one loop: slot → events → sink → acknowledgement, and over again after any failure.

mod error;
mod notices;
mod pump;
mod session;
mod start;

use std::time::Instant;

use pgevents_proto::Lsn;
use tokio::time::sleep;
use tracing::{error, info, warn};

pub use error::ProducerError;

use crate::{
    backoff::Backoff,
    complaint::Complaints,
    config::Producer,
    delivery::Feed,
    exit::{Chain, Exit, Fate},
    health,
    metrics::{Board, State},
    position::Position,
    publish::{PublishError, Sink},
    shutdown::Shutdown,
};
use pump::Pump;

/// What outlives a session.
#[derive(Debug)]
struct Relay<'a> {
    config: &'a Producer,
    shutdown: &'a Shutdown,
    sink: Option<Sink>,
    /// Highest position that may be acknowledged, or where the slot stood at first.
    last: Option<Position>,
    /// The server's process that served the last stream.
    walsender: Option<i32>,
    feed: Feed,
    board: &'a Board,
    complaints: Complaints,
}

/// Runs until a stop is requested or something only an operator can mend. What monitoring may know
/// goes to `board`.
///
/// # Errors
///
/// What has to be mended; its [`ProducerError::fate`] holds the exit code.
pub async fn run(
    config: &Producer,
    shutdown: &Shutdown,
    board: &Board,
) -> Result<(), ProducerError> {
    let mut relay = Relay {
        config,
        shutdown,
        sink: None,
        last: None,
        walsender: None,
        feed: Feed::new(config.policy),
        board,
        complaints: Complaints::default(),
    };
    let mut backoff = Backoff::new();
    loop {
        let before = relay.acknowledged();
        let failure = match relay.session().await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        board.failed(failure.side(), &mut relay.feed);
        board.enter(State::Connecting);
        if relay.acknowledged() > before && before.is_some() {
            backoff.reset();
            relay.complaints.forget();
        }
        let mut delay = backoff.next(fastrand::f64());
        match failure.fate() {
            Fate::Stop(Exit::Clean) => {
                info!("{}", Chain(&failure));
                return Ok(());
            }
            // It has worked before: certificates are being renewed, or an address leads elsewhere.
            Fate::Stop(_) if failure.is_tls() && relay.last.is_some() => {
                relay.report(&failure, delay)
            }
            Fate::Stop(_) => return Err(failure),
            Fate::Wait => {
                info!("{}", Chain(&failure));
                delay = start::SLOT_POLL;
            }
            Fate::Retry => relay.report(&failure, delay),
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

impl Relay<'_> {
    /// One connection to each side, until it fails or the relay is stopped.
    async fn session(&mut self) -> Result<(), ProducerError> {
        let shutdown = self.shutdown;
        let (opened, watch) = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            opened = self.open() => opened?,
        };
        let Some(sink) = self.sink.take() else {
            return Err(ProducerError::SinkMissing);
        };
        let gap = opened.gap.clone();
        let pump = Pump::new(self.config, opened, sink, &mut self.feed, self.board);
        let working = health::working();
        let (outcome, sink) = pump.run(watch, shutdown).await;
        drop(working);
        self.sink = sink;
        let acknowledged = self.feed.delivery.acknowledge();
        match (&mut self.last, gap) {
            // Consumers do not know of it yet.
            (last, Some(gap)) if acknowledged == Lsn::INVALID => *last = Some(gap.from),
            (Some(last), _) => last.acknowledged = last.acknowledged.max(acknowledged),
            (None, _) => {}
        }
        outcome
    }

    /// Highest position that may be acknowledged; `None` before the first session.
    fn acknowledged(&self) -> Option<Lsn> {
        self.last.as_ref().map(|last| last.acknowledged)
    }

    /// Says what ended a session, but not the same again and again.
    fn report(&mut self, failure: &ProducerError, delay: std::time::Duration) {
        let text = Chain(failure).to_string();
        let Some(times) = self.complaints.due(&text, Instant::now()) else {
            return;
        };
        let delay_ms = delay.as_millis() as u64;
        if let ProducerError::Publish(PublishError::Returned(_) | PublishError::NotParked(_)) =
            failure
        {
            let returned = self.feed.delivery.counts().returned;
            error!(delay_ms, times, returned, "{text}: reconnect and try again");
        } else {
            warn!(delay_ms, times, "{text}: reconnect");
        }
    }
}
