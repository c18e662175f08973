//! The one loop: slot → events → sink → acknowledgement, and over again after any failure.

mod error;
mod pump;
mod session;

use pgevents_proto::Lsn;
use tokio::time::sleep;
use tracing::{error, info, warn};

pub use error::ProducerError;

use crate::{
    backoff::Backoff,
    config::Producer,
    delivery::Feed,
    exit::{Chain, Exit, Fate},
    health,
    publish::{PublishError, Sink},
    shutdown::Shutdown,
    walsender::System,
};
use pump::Pump;

/// What outlives a session.
#[derive(Debug)]
struct Relay<'a> {
    config: &'a Producer,
    shutdown: &'a Shutdown,
    sink: Option<Sink>,
    /// Highest position that was acknowledged on the slot, or where it stood at first.
    acknowledged: Option<Lsn>,
    system: Option<System>,
    feed: Feed,
}

/// Runs until a stop is requested or something only an operator can mend.
///
/// # Errors
///
/// What has to be mended; its [`ProducerError::fate`] holds the exit code.
pub async fn run(config: &Producer, shutdown: &Shutdown) -> Result<(), ProducerError> {
    let mut relay = Relay {
        config,
        shutdown,
        sink: None,
        acknowledged: None,
        system: None,
        feed: Feed::new(config.policy),
    };
    let mut backoff = Backoff::new();
    loop {
        let before = relay.acknowledged;
        let failure = match relay.session().await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if relay.acknowledged > before && before.is_some() {
            backoff.reset();
        }
        let delay = backoff.next(fastrand::f64());
        match failure.fate() {
            Fate::Stop(Exit::Clean) => {
                info!("{}", Chain(&failure));
                return Ok(());
            }
            Fate::Stop(_) => return Err(failure),
            Fate::Wait => info!("{}", Chain(&failure)),
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
        let opened = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            opened = self.open() => opened?,
        };
        let Some(sink) = self.sink.take() else {
            return Err(ProducerError::SinkMissing);
        };
        let pump = Pump::new(self.config, opened, sink, &mut self.feed);
        let working = health::working();
        let (outcome, sink) = pump.run(shutdown).await;
        drop(working);
        let acknowledged = self.feed.delivery.acknowledge();
        self.acknowledged = self.acknowledged.max(Some(acknowledged));
        self.sink = sink;
        outcome
    }

    fn report(&mut self, failure: &ProducerError, delay: std::time::Duration) {
        let delay_ms = delay.as_millis() as u64;
        if let ProducerError::Publish(PublishError::Returned(_)) = failure {
            let returned = self.feed.delivery.counts().returned;
            error!(
                delay_ms,
                returned,
                "{}: reconnect and try again",
                Chain(failure)
            );
        } else {
            warn!(delay_ms, "{}: reconnect", Chain(failure));
        }
    }
}
