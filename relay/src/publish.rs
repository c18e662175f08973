//! Where events go. A sink takes events in order, and says later which of them have arrived.

mod error;
mod in_flight;
mod rabbitmq;
mod stdout;
mod window;

pub use error::PublishError;
pub(crate) use error::{reply_code, stdout_failure};
pub(crate) use rabbitmq::{LONGEST_KEY, declare_exchange, short};
pub use rabbitmq::{Publisher, connect};
pub use stdout::Lines;
pub use window::Window;

use crate::config;

/// One event on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// `schema.table`, or what a logical message asks for.
    pub routing_key: &'a str,
    /// The same for the same event, whenever it is sent.
    pub message_id: &'a str,
    /// Whether the old row of an update or delete is not known in full.
    pub partial_old: bool,
    /// Whether the body is UTF-8; that of a logical message need not be.
    pub utf8: bool,
    /// When its transaction committed, in seconds since 1970-01-01 00:00 UTC.
    pub commit_time: u64,
    /// The event.
    pub body: &'a [u8],
}

/// An event that has arrived where it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The number that it was published with.
    pub number: u64,
    /// Size of its body.
    pub bytes: u64,
}

/// A place for events.
#[derive(Debug)]
pub enum Sink {
    /// An exchange of RabbitMQ.
    Rabbitmq(Box<Publisher>),
    /// Standard output.
    Stdout(Box<Lines>),
}

impl Sink {
    /// Opens the configured sink.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or it refuses.
    pub async fn open(config: &config::Sink) -> Result<Self, PublishError> {
        match config {
            config::Sink::Rabbitmq {
                broker,
                declare,
                unroutable,
            } => {
                let publisher = Publisher::open(broker, *declare, *unroutable).await?;
                Ok(Self::Rabbitmq(Box::new(publisher)))
            }
            config::Sink::Stdout => Ok(Self::Stdout(Box::default())),
        }
    }

    /// Hands over one event; it never waits. Numbers have to grow.
    pub fn publish(&mut self, number: u64, event: Outgoing<'_>) {
        match self {
            Self::Rabbitmq(publisher) => publisher.publish(number, event),
            Self::Stdout(lines) => lines.publish(number, event),
        }
    }

    /// Waits until events have arrived and adds them to `arrived`; waits for ever while none is on
    /// its way. May be given up at any time without loss.
    ///
    /// # Errors
    ///
    /// An event did not arrive. The sink is of no use then, and nothing was added.
    pub async fn confirmed(&mut self, arrived: &mut Vec<Confirmed>) -> Result<(), PublishError> {
        match self {
            Self::Rabbitmq(publisher) => publisher.confirmed(arrived).await,
            Self::Stdout(lines) => lines.confirmed(arrived).await,
        }
    }

    /// Looks whether the sink can still take events.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn check(&self) -> Result<Health, PublishError> {
        match self {
            Self::Rabbitmq(publisher) => publisher.check(),
            Self::Stdout(_) => Ok(Health::Blocked),
        }
    }
}

/// Whether a sink that does not confirm is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes events and should confirm them.
    Ready,
    /// It says that it takes no more for now (a resource alarm), or may do so without saying (the
    /// reader of a pipe): silence means nothing.
    Blocked,
}
