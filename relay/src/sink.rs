//! Where events go. A sink takes messages in order, and says later which of them have arrived.

pub mod amqp;
mod error;
mod outcome;
mod outgoing;
mod stdout;

pub use error::SinkError;
pub(crate) use error::stdout_failure;
pub use outcome::{Outcome, Unrouted};
pub use outgoing::Outgoing;
pub use stdout::Lines;

use crate::delivery::Unroutable;

/// A place for messages: a broker, a pipe, or what stands in for one.
#[allow(
    async_fn_in_trait,
    reason = "one thread does all the work: no future has to be sent"
)]
pub trait Sink {
    /// Takes one message; never waits. Numbers grow from message to message.
    fn publish(&mut self, number: u64, message: Outgoing<'_>);

    /// Takes care that nobody else publishes the stream of this name for as long as this sink
    /// lasts.
    ///
    /// # Errors
    ///
    /// The sink is of no use any more, or it refuses.
    async fn claim(&mut self, stream: &str) -> Result<Claim, SinkError>;

    /// Waits until there are outcomes and adds them; waits for ever while no message is on its way.
    /// What came back or was refused stands before everything that a confirm of the same moment
    /// covers. May be given up at any time without loss.
    ///
    /// # Errors
    ///
    /// The sink is of no use any more, and nothing was added.
    async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), SinkError>;

    /// Looks whether the sink can still take messages.
    ///
    /// # Errors
    ///
    /// It cannot.
    fn health(&self) -> Result<Health, SinkError>;

    /// What it does not take.
    fn limits(&self) -> Limits;
}

/// Whether a sink has one writer of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This one.
    Sole,
    /// Another one has it, or had it until a moment ago.
    Taken,
    /// The sink cannot say, as it does not let this one declare the lock of this name.
    Unknown(String),
}

/// Whether a sink that does not confirm is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes messages and should confirm them.
    Ready,
    /// It says that it takes no more for now: silence means nothing.
    Blocked,
    /// It cannot say, as the reader of a pipe cannot: silence means nothing either.
    Unknown,
}

/// What a sink does not take; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest routing key in bytes; a longer one is cut at a character.
    pub longest_key: Option<usize>,
    /// Largest body in bytes; a larger one may end the session.
    pub largest_body: Option<u64>,
}

/// Settings of the sink.
#[derive(Clone, Debug)]
pub enum Settings {
    /// An exchange of RabbitMQ.
    Amqp(Box<amqp::Settings>),
    /// Standard output.
    Stdout,
}

/// The sinks that ship.
#[derive(Debug)]
pub enum AnySink {
    /// An exchange of RabbitMQ.
    Amqp(Box<amqp::Publisher>),
    /// Standard output.
    Stdout(Box<Lines>),
}

impl AnySink {
    /// Opens the configured sink; `unroutable` is what is done with messages that no queue wants.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or it refuses.
    pub async fn open(settings: &Settings, unroutable: Unroutable) -> Result<Self, SinkError> {
        Ok(match settings {
            Settings::Amqp(amqp) => {
                Self::Amqp(Box::new(amqp::Publisher::open(amqp, unroutable).await?))
            }
            Settings::Stdout => Self::Stdout(Box::default()),
        })
    }
}

impl Sink for AnySink {
    fn publish(&mut self, number: u64, message: Outgoing<'_>) {
        match self {
            Self::Amqp(publisher) => publisher.publish(number, message),
            Self::Stdout(lines) => lines.publish(number, message),
        }
    }

    async fn claim(&mut self, stream: &str) -> Result<Claim, SinkError> {
        match self {
            Self::Amqp(publisher) => publisher.claim(stream).await,
            Self::Stdout(lines) => lines.claim(stream).await,
        }
    }

    async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), SinkError> {
        match self {
            Self::Amqp(publisher) => publisher.outcomes(outcomes).await,
            Self::Stdout(lines) => lines.outcomes(outcomes).await,
        }
    }

    fn health(&self) -> Result<Health, SinkError> {
        match self {
            Self::Amqp(publisher) => publisher.health(),
            Self::Stdout(lines) => lines.health(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Amqp(publisher) => publisher.limits(),
            Self::Stdout(lines) => lines.limits(),
        }
    }
}

impl std::fmt::Display for Settings {
    /// For people; without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Amqp(amqp) => {
                let amqp::Broker { url, exchange, .. } = &amqp.broker;
                write!(f, "exchange {exchange:?} at {url}")
            }
            Self::Stdout => f.write_str("stdout"),
        }
    }
}
