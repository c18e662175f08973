use std::{io, time::Duration};

use pgevents_proto::{DecodeError, Lsn};

use super::feed::Oversized;
use crate::{
    delivery::Failure,
    exit::{Exit, Fate},
    metrics::Side,
    position::{Gap, StateError},
    postgres::{Misnamed, PostgresError},
    sink::SinkError,
    source::SourceError,
};

/// Why a session ended. [`ProducerError::fate`] says what happens next.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// PostgreSQL's side.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A list names what is not there, and `--strict` forbids that; stop: exit code 2.
    #[error("{0} (--strict)")]
    Misnamed(Misnamed),
    /// The sink's side.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Plugin and relay speak different versions; stop: one of them has to be replaced.
    #[error("read from the plugin (install plugin and relay of one release)")]
    Version(#[source] DecodeError),
    /// A frame breaks the contract; stop, since it would again after a reconnect.
    #[error("decode the frame after {after}")]
    Frame {
        /// End of the last complete transaction before it.
        after: Lsn,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// An event is larger than the broker takes, and the policy is to stop.
    #[error(
        "publish an event of {:?}: its {} bytes are more than --max-message-bytes {limit} \
         (message_id {}, transaction up to {}); raise it and RabbitMQ's max_message_size, or use \
         --too-large marker",
        .event.routing_key, .event.bytes, .event.message_id, .event.end_lsn
    )]
    TooLarge {
        /// Which event.
        event: Box<Oversized>,
        /// The most bytes that are allowed.
        limit: u64,
    },
    /// The server has ended the stream, mostly because it shuts down; reconnect.
    #[error("PostgreSQL has ended the stream")]
    Ended,
    /// Nothing came from the server for too long; reconnect.
    #[error("PostgreSQL has been silent for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The relay stood still for so long that another one may have the slot; reconnect, and send
    /// nothing that was read before.
    #[error(
        "the relay stood still for {} seconds (stopped, or its machine was): what it has read may be \
         out of date",
        .0.as_secs()
    )]
    StoodStill(Duration),
    /// Progress cannot be reported; reconnect.
    #[error("report progress to PostgreSQL")]
    Status(#[source] io::Error),
    /// The server shuts down and was let go; reconnect.
    #[error("PostgreSQL shuts down")]
    ServerStops(#[source] PostgresError),
    /// Changes may be missing between what was acknowledged and what the slot has; stop, since an
    /// operator has to know, or go on with `--accept-gap`.
    #[error(
        "{0}; bring consumers up to date by other means, then start the relay once with --accept-gap"
    )]
    Gap(Gap),
    /// The position cannot be kept; stop, or reconnect.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<Failure> for ProducerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Nacked => Self::Sink(SinkError::Nacked),
            Failure::NoConfirm(limit) => Self::Sink(SinkError::Silent(limit)),
            Failure::ServerSilent(silent) => Self::Silent(silent),
        }
    }
}

impl ProducerError {
    /// What it means that a source gives no more, when everything before `after` is acknowledged.
    pub(super) fn of_source(error: SourceError, after: Lsn) -> Self {
        match error {
            SourceError::Postgres(error) => Self::Postgres(error),
            SourceError::Undecodable(error @ DecodeError::Version(_)) => Self::Version(error),
            SourceError::Undecodable(source) => Self::Frame { after, source },
            SourceError::Status(error) => Self::Status(error),
        }
    }

    /// Which side it came from.
    pub fn side(&self) -> Side {
        match self {
            Self::Sink(_) | Self::TooLarge { .. } => Side::Broker,
            Self::Postgres(_)
            | Self::Misnamed(_)
            | Self::Version(_)
            | Self::Frame { .. }
            | Self::Ended
            | Self::Silent(_)
            | Self::StoodStill(_)
            | Self::Status(_)
            | Self::ServerStops(_)
            | Self::Gap(_)
            | Self::State(_) => Side::Postgres,
        }
    }

    /// Whether it is a refusal that may pass, since the relay has `streamed`, or has `delivered`
    /// events, before: something is being changed, or somebody will change it back.
    pub fn may_pass(&self, streamed: bool, delivered: bool) -> bool {
        let worked = match self {
            Self::Sink(SinkError::Forbidden { .. }) => delivered,
            Self::Postgres(_) | Self::Sink(_) => streamed,
            _ => false,
        };
        let code = self.fate();
        worked && matches!(code, Fate::Stop(Exit::Configuration | Exit::BrokerRefused))
    }

    /// What the relay does about it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Postgres(error) => error.fate(),
            Self::Sink(error) => error.fate(),
            Self::Misnamed(_) => Fate::Stop(Exit::Configuration),
            Self::Version(_) => Fate::Stop(Exit::Version),
            Self::TooLarge { .. } => Fate::Stop(Exit::TooLarge),
            Self::Frame { .. } => Fate::Stop(Exit::Undecodable),
            Self::Ended
            | Self::Silent(_)
            | Self::StoodStill(_)
            | Self::Status(_)
            | Self::ServerStops(_) => Fate::Retry,
            Self::Gap(gap) => Fate::Stop(gap.reason.exit()),
            Self::State(error) => error.fate(),
        }
    }
}
