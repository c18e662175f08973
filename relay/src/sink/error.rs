use std::{error::Error, io, time::Duration};

use super::Unrouted;
use crate::{
    exit::{Exit, Fate},
    tls::TlsError,
};

/// The words of a library or of the broker.
type Cause = Box<dyn Error + Send + Sync>;

/// Why an event did not arrive, or the sink could not be opened. After each the connection is
/// dropped, and what was not acknowledged is read again from the slot.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Nobody answers; try again.
    #[error("connect to RabbitMQ at {address} (check RABBITMQ_URL, and that the broker runs)")]
    Unreachable {
        /// Where; without credentials.
        address: String,
        /// Why.
        source: Cause,
    },
    /// One side does not accept the other's certificate; stop, as it will not change by itself.
    #[error(
        "start TLS with RabbitMQ at {address} (check RABBITMQ_URL, RABBITMQ_CACERT, RABBITMQ_CERT \
         and RABBITMQ_KEY)"
    )]
    Tls {
        /// Where; without credentials.
        address: String,
        /// Why.
        source: Box<TlsError>,
    },
    /// Somebody answers, but not in time; try again.
    #[error("connect to RabbitMQ at {address}: no answer within {} seconds", .limit.as_secs())]
    Slow {
        /// Where; without credentials.
        address: String,
        /// How long the relay waited.
        limit: Duration,
    },
    /// The broker does not let the relay in or do its work; stop, an operator has to act.
    #[error("{what}: {remedy}")]
    Refused {
        /// What was tried.
        what: String,
        /// What to do.
        remedy: String,
        /// The broker's words.
        source: Cause,
    },
    /// The broker does not let the relay publish. Stop if it never has, an operator has to act.
    #[error("publish to exchange {exchange:?}: {remedy}")]
    Forbidden {
        /// The exchange.
        exchange: String,
        /// What to do.
        remedy: String,
        /// The broker's words.
        source: Cause,
    },
    /// The connection broke; reconnect.
    #[error("keep the connection to RabbitMQ")]
    Lost(#[source] Cause),
    /// No queue wants the event; reconnect and try again until one does.
    #[error(
        "publish with routing key {:?}: no queue of the exchange takes it ({}); \
         bind a queue, nothing later is sent before",
        .0.routing_key, .0.reply
    )]
    Unrouted(Unrouted),
    /// No queue wants the event, and the policy is to stop.
    #[error(
        "publish with routing key {:?}: no queue of the exchange takes it ({}); bind a queue, or \
         choose another --unroutable than stop",
        .0.routing_key, .0.reply
    )]
    Unroutable(Unrouted),
    /// No queue behind the parking exchange wants the event either; reconnect and try again until
    /// one does.
    #[error(
        "park an event with routing key {:?}: no queue of the parking exchange takes it ({}); bind \
         a queue to it",
        .0.routing_key, .0.reply
    )]
    NotParked(Unrouted),
    /// The broker refused an event, for example because a queue is full; reconnect and try again.
    #[error("publish: the broker refused an event (nack), for example because a queue is full")]
    Nacked,
    /// Confirms are due and none came; reconnect.
    #[error("publish: no confirm for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The channel has no confirms, though they were asked for; a bug.
    #[error("publish: the channel does not confirm")]
    NotConfirming,
    /// The reader of standard output went away; a clean end.
    #[error("the reader of standard output went away")]
    ReaderGone,
    /// Standard output cannot be written to; try again.
    #[error("write to standard output")]
    Stdout(#[source] io::Error),
}

impl SinkError {
    /// What the relay does about it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Lost(_)
            | Self::Unrouted(_)
            | Self::NotParked(_)
            | Self::Nacked
            | Self::Silent(_)
            | Self::Stdout(_) => Fate::Retry,
            Self::Tls { .. } => Fate::Stop(Exit::Configuration),
            Self::Unroutable(_) => Fate::Stop(Exit::Unroutable),
            Self::Refused { .. } | Self::Forbidden { .. } => Fate::Stop(Exit::BrokerRefused),
            Self::NotConfirming => Fate::Stop(Exit::Bug),
            Self::ReaderGone => Fate::Stop(Exit::Clean),
        }
    }
}

/// What it means that standard output cannot be written to.
pub(crate) fn stdout_failure(error: io::Error) -> SinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => SinkError::ReaderGone,
        _ => SinkError::Stdout(error),
    }
}
