use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;

use super::{
    Health, Outcome, PublishError, Returned,
    connection::{CONNECT_TIMEOUT, connect},
    error::reply_code,
    in_flight::InFlight,
};
use crate::{
    cli::ExchangeDeclare,
    config::Broker,
    delivery::{Confirmed, Outgoing},
};

/// Longest routing key in bytes: AMQP carries it as a short string. Two names of PostgreSQL take up
/// to 127 bytes; only names converted from another encoding and the keys of logical messages can be
/// longer, and are cut.
pub(crate) const LONGEST_KEY: usize = 255;

/// One connection with one channel, fed by one task in order.
///
/// lapin counts delivery tags and queues frames under different locks, so a channel that two
/// threads feed can credit a confirm to the wrong message; and after a reconnect of its own it
/// would not send again what was lost. Hence one task, and no recovery but starting over.
pub struct Publisher {
    channel: Arc<Channel>,
    connection: Connection,
    exchange: ShortString,
    properties: BasicProperties,
    in_flight: InFlight,
    /// Outcomes that are not handed out yet: what failed, and what was confirmed.
    failed: Vec<Outcome>,
    settled: Vec<Outcome>,
}

impl Publisher {
    /// Connects, and makes or looks for the exchange.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached, or it refuses.
    pub async fn open(broker: &Broker, declare: ExchangeDeclare) -> Result<Self, PublishError> {
        let (connection, channel) = connect(broker, "pgevents producer").await?;
        let exchange = short(&broker.exchange);
        declare_exchange(&channel, broker, declare).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(lost)?;
        let properties = BasicProperties::default()
            .with_content_type(ShortString::from("application/json"))
            .with_delivery_mode(2);
        Ok(Self {
            channel: Arc::new(channel),
            connection,
            exchange,
            properties,
            in_flight: InFlight::default(),
            failed: Vec::new(),
            settled: Vec::new(),
        })
    }

    /// Gives one message to the connection.
    pub(super) fn publish(&mut self, number: u64, event: Outgoing<'_>) {
        let properties = self
            .properties
            .clone()
            .with_timestamp(event.commit_time)
            .with_message_id(short(event.message_id));
        let properties = match event.kind {
            // The `type` costs 12 bytes, and only where there is something to say; a table of
            // headers would cost 30.
            Some(kind) => properties.with_type(ShortString::from(kind)),
            None => properties,
        };
        let properties = match event.utf8 {
            true => properties,
            false => properties.with_content_type(ShortString::from("application/octet-stream")),
        };
        let (channel, exchange) = (Arc::clone(&self.channel), self.exchange.clone());
        let (key, body) = (short(event.routing_key), Box::<[u8]>::from(event.body));
        let confirmed = Confirmed {
            number,
            bytes: event.body.len() as u64,
        };
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        self.in_flight.push(async move {
            let written = channel
                .basic_publish(exchange, key, options, &body, properties)
                .await;
            drop(body);
            match written.map_err(lost)?.await.map_err(lost)? {
                Confirmation::Ack(None) => Ok(Outcome::Confirmed(confirmed)),
                Confirmation::Ack(Some(returned)) => Ok(Outcome::Returned(Box::new(Returned {
                    routing_key: returned.routing_key.to_string(),
                    reply: format!("{} {}", returned.reply_code, returned.reply_text),
                }))),
                Confirmation::Nack(_) => Ok(Outcome::Nacked),
                Confirmation::NotRequested => Err(PublishError::NotConfirming),
            }
        });
    }

    /// Waits for outcomes.
    ///
    /// lapin hangs a returned message on whichever confirm it completes next, of this message or of
    /// another one, in no order within an acknowledgement of many. So nothing counts before
    /// everything that has been completed with or before it is known to be free of returns.
    pub(super) async fn outcomes(
        &mut self,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PublishError> {
        if self.in_flight.len() == 0 && self.taken() == 0 {
            return std::future::pending().await;
        }
        poll_fn(|cx| {
            loop {
                let known = self.taken();
                self.take_completed(cx)?;
                if self.taken() == known {
                    break;
                }
                self.finish_acknowledgement();
            }
            match self.taken() {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await?;
        outcomes.append(&mut self.failed);
        outcomes.append(&mut self.settled);
        Ok(())
    }

    /// Looks whether the connection still stands.
    pub(super) fn check(&self) -> Result<Health, PublishError> {
        let status = self.connection.status();
        if !status.connected() || !self.channel.status().connected() {
            return Err(lost(
                std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into(),
            ));
        }
        Ok(if status.blocked() {
            Health::Blocked
        } else {
            Health::Ready
        })
    }

    /// Outcomes that are not handed out yet.
    fn taken(&self) -> usize {
        self.failed.len() + self.settled.len()
    }

    fn take_completed(&mut self, cx: &mut Context<'_>) -> Result<(), PublishError> {
        while let Poll::Ready(outcome) = self.in_flight.poll_next(cx) {
            match outcome? {
                confirmed @ Outcome::Confirmed(_) => self.settled.push(confirmed),
                failed @ (Outcome::Returned(_) | Outcome::Nacked) => self.failed.push(failed),
            }
        }
        Ok(())
    }

    /// Waits until lapin's other thread has completed every message of the acknowledgement that it
    /// may be working on: it holds a lock meanwhile, which `wait_for_confirms` takes at its start.
    fn finish_acknowledgement(&self) {
        let waiting = pin!(self.channel.wait_for_confirms());
        let _ = waiting.poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("in_flight", &self.in_flight.len())
            .finish()
    }
}

/// Makes the durable topic exchange, or looks for it.
pub(crate) async fn declare_exchange(
    channel: &Channel,
    broker: &Broker,
    declare: ExchangeDeclare,
) -> Result<(), PublishError> {
    let passive = match declare {
        ExchangeDeclare::Off => return Ok(()),
        ExchangeDeclare::Declare => false,
        ExchangeDeclare::Passive => true,
    };
    let options = ExchangeDeclareOptions {
        passive,
        durable: true,
        ..Default::default()
    };
    let declared = channel.exchange_declare(
        short(&broker.exchange),
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    let Ok(outcome) = timeout(CONNECT_TIMEOUT, declared).await else {
        return Err(PublishError::Slow {
            address: broker.url.to_string(),
            limit: CONNECT_TIMEOUT,
        });
    };
    let what = || format!("declare exchange {:?}", broker.exchange);
    outcome.map_err(|source| match reply_code(&source) {
        // PRECONDITION_FAILED
        Some(406) => PublishError::Refused {
            what: what(),
            remedy: "it exists and is no durable topic exchange; name another one in \
                     RABBITMQ_EXCHANGE, delete it, or use --exchange-declare passive"
                .to_owned(),
            source: Box::new(source),
        },
        // ACCESS_REFUSED
        Some(403) => PublishError::Refused {
            what: what(),
            remedy: format!(
                "give {:?} the permission to configure and write it, or use --exchange-declare off",
                broker.url.user()
            ),
            source: Box::new(source),
        },
        // NOT_FOUND
        Some(404) => PublishError::Refused {
            what: what(),
            remedy: "it does not exist; make it, or use --exchange-declare declare".to_owned(),
            source: Box::new(source),
        },
        Some(_) | None => lost(source),
    })
}

fn lost(source: lapin::Error) -> PublishError {
    PublishError::Lost(Box::new(source))
}

/// A short string; what is longer than [`LONGEST_KEY`] is cut at a character.
pub(crate) fn short(text: &str) -> ShortString {
    ShortString::try_new(&text[..text.floor_char_boundary(LONGEST_KEY)]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_too_long_is_cut_at_a_character() {
        assert_eq!(short("public.users").as_str(), "public.users");
        assert_eq!(short(&"€".repeat(100)).as_str(), "€".repeat(85));
        assert_eq!(short(&"a€".repeat(100)).as_str().len(), 253);
    }
}
