use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};

use super::{
    Health, Outcome, PublishError, Returned,
    connection::connect,
    exchange::{Exchange, declare_exchange},
    in_flight::InFlight,
    settlement::{End, Sent, Settlement},
};
use crate::{
    cli::ExchangeDeclare,
    config::Broker,
    delivery::{Confirmed, Outgoing, Unroutable},
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
    /// Where messages go that no queue wants; `None`: the policy is another one.
    parking: Option<ShortString>,
    /// Whether the session goes on after a message has come back, so that it has to be known which.
    goes_on: bool,
    properties: BasicProperties,
    in_flight: InFlight<PublisherConfirm>,
    settlement: Settlement,
}

impl Publisher {
    /// Connects, and makes or looks for the exchange, and for that of `parking` if there is one.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached, or it refuses.
    pub async fn open(
        broker: &Broker,
        declare: ExchangeDeclare,
        unroutable: Unroutable,
        parking: Option<&str>,
    ) -> Result<Self, PublishError> {
        let (connection, channel) = connect(broker, "pgevents producer").await?;
        let exchange = short(&broker.exchange);
        declare_exchange(&channel, broker, Exchange::events(broker), declare).await?;
        if let Some(parking) = parking {
            declare_exchange(&channel, broker, Exchange::parking(parking), declare).await?;
        }
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
            parking: parking.map(short),
            goes_on: matches!(unroutable, Unroutable::Park | Unroutable::Drop),
            properties,
            in_flight: InFlight::default(),
            settlement: Settlement::default(),
        })
    }

    /// Gives one message to the connection.
    pub(super) fn publish(&mut self, number: u64, event: Outgoing<'_>) {
        let properties = self
            .properties
            .clone()
            .with_message_id(short(event.message_id));
        let properties = match event.commit_time {
            Some(seconds) => properties.with_timestamp(seconds),
            None => properties,
        };
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
        let message = Confirmed {
            number,
            bytes: event.body.len() as u64,
        };
        let (exchange, key) = (self.exchange.clone(), short(event.routing_key));
        self.send(message, exchange, key, properties, event.body.into(), false);
    }

    /// Gives a message that came back to the connection once more, for the parking exchange.
    pub(super) fn park(&mut self, message: Confirmed, returned: Returned) {
        let Returned {
            routing_key,
            properties,
            body,
            ..
        } = returned;
        // Without one the policy is another.
        let parking = self.parking.clone().unwrap_or_default();
        self.send(message, parking, routing_key, properties, body, true);
    }

    fn send(
        &mut self,
        message: Confirmed,
        exchange: ShortString,
        key: ShortString,
        properties: BasicProperties,
        body: Box<[u8]>,
        parked: bool,
    ) {
        let sent = Sent {
            message,
            message_id: match self.goes_on {
                true => properties.message_id().clone(),
                false => None,
            },
            parked,
        };
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let channel = Arc::clone(&self.channel);
        self.in_flight.push(sent, async move {
            channel
                .basic_publish(exchange, key, options, &body, properties)
                .await
        });
    }

    /// Waits for outcomes.
    ///
    /// What came back may hang on the confirm of another message, so nothing counts before everything
    /// that lapin has completed with it or before it has been looked at.
    pub(super) async fn outcomes(
        &mut self,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PublishError> {
        if self.in_flight.is_empty() && self.settlement.len() == 0 {
            return std::future::pending().await;
        }
        poll_fn(|cx| {
            loop {
                let known = self.settlement.len();
                self.take_completed(cx)?;
                if self.settlement.len() == known {
                    break;
                }
                self.finish_acknowledgement();
            }
            match self.settlement.len() {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await?;
        self.settlement.hand_out(outcomes);
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

    fn take_completed(&mut self, cx: &mut Context<'_>) -> Result<(), PublishError> {
        while let Poll::Ready(ended) = self.in_flight.poll_next(cx) {
            let (sent, confirmation) = ended.map_err(lost)?;
            let end = match confirmation {
                Confirmation::Ack(None) => End::Acked,
                Confirmation::Ack(Some(returned)) => {
                    End::AckedWith(Box::new(Returned::of(returned, self.parking.as_ref())))
                }
                Confirmation::Nack(_) => End::Nacked,
                Confirmation::NotRequested => return Err(PublishError::NotConfirming),
            };
            self.settlement.take(sent, end);
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
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// The connection broke.
pub(super) fn lost(source: lapin::Error) -> PublishError {
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
