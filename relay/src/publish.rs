//! Where events go. A sink takes events in order, and says later which of them have arrived.

mod connection;
mod error;
mod exchange;
mod in_flight;
mod rabbitmq;
mod settlement;
mod stdout;
mod wakes;

pub use connection::connect;
pub use error::PublishError;
pub(crate) use error::{reply_code, stdout_failure};
pub(crate) use exchange::{Exchange, declare_exchange};
pub use rabbitmq::Publisher;
pub(crate) use rabbitmq::{LONGEST_KEY, short};
pub use stdout::Lines;

use std::fmt;

use lapin::{BasicProperties, types::ShortString};

use crate::{
    config,
    delivery::{Confirmed, Outgoing, Outlet, Unroutable},
};

/// What has become of a message.
#[derive(Debug)]
pub enum Outcome {
    /// It has arrived where it must.
    Confirmed(Confirmed),
    /// No queue wanted it.
    Returned(Confirmed, Box<Returned>),
    /// The broker refused it, for example because a queue is full.
    Nacked(Confirmed),
}

/// A message that came back.
pub struct Returned {
    /// Its routing key.
    pub routing_key: ShortString,
    /// The broker's words.
    pub reply: String,
    /// Whether it was meant for the parking exchange.
    pub parked: bool,
    properties: BasicProperties,
    body: Box<[u8]>,
}

impl fmt::Debug for Returned {
    /// Without the row's values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned")
            .field("routing_key", &self.routing_key)
            .field("reply", &self.reply)
            .field("parked", &self.parked)
            .finish_non_exhaustive()
    }
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
    /// Opens the configured sink; `unroutable` is what will be done with messages that come back.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or it refuses.
    pub async fn open(config: &config::Sink, unroutable: Unroutable) -> Result<Self, PublishError> {
        match config {
            config::Sink::Rabbitmq {
                broker,
                declare,
                parking,
            } => {
                let parking = parking.as_deref();
                let publisher = Publisher::open(broker, *declare, unroutable, parking).await?;
                Ok(Self::Rabbitmq(Box::new(publisher)))
            }
            config::Sink::Stdout => Ok(Self::Stdout(Box::default())),
        }
    }

    /// Waits until there are outcomes and adds them; waits for ever while no message is on its way.
    /// What came back or was refused stands before everything that a confirm of the same moment
    /// covers. May be given up at any time without loss.
    ///
    /// # Errors
    ///
    /// The sink is of no use any more, and nothing was added.
    pub async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), PublishError> {
        match self {
            Self::Rabbitmq(publisher) => publisher.outcomes(outcomes).await,
            Self::Stdout(lines) => lines.outcomes(outcomes).await,
        }
    }

    /// Sends a message that came back to the parking exchange. It is confirmed, or comes back, under
    /// its own number again.
    pub fn park(&mut self, message: Confirmed, returned: Returned) {
        match self {
            Self::Rabbitmq(publisher) => publisher.park(message, returned),
            // Nothing comes back from there.
            Self::Stdout(_) => {}
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

impl Outlet for Sink {
    fn publish(&mut self, number: u64, event: Outgoing<'_>) {
        match self {
            Self::Rabbitmq(publisher) => publisher.publish(number, event),
            Self::Stdout(lines) => lines.publish(number, event),
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
