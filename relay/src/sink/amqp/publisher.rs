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
    Broker, Fence, Settings,
    connection::connect,
    exchange::{Exchange, declare_exchange},
    fence,
    in_flight::InFlight,
    name::{LONGEST_KEY, short},
    reply::{lost, reply_code, shell_word},
    settlement::{End, Given, Returned, Settled, Settlement},
};
use crate::{
    delivery::{Sent, Unroutable},
    sink::{Claim, Health, Limits, Outcome, Outgoing, Sink, SinkError, Unrouted},
};

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
    /// What is done with a message that no queue wants.
    unroutable: Unroutable,
    broker: Broker,
    fence: Fence,
    /// The stream that this connection has the lock of.
    claimed: Option<String>,
    limits: Limits,
    properties: BasicProperties,
    in_flight: InFlight<PublisherConfirm>,
    settlement: Settlement,
}

impl Publisher {
    /// Connects, and creates or looks for the exchange, and for the parking exchange if there is
    /// one.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached, or it refuses.
    pub async fn open(settings: &Settings, unroutable: Unroutable) -> Result<Self, SinkError> {
        let (broker, declare) = (&settings.broker, settings.declare);
        let (connection, channel) = connect(broker, "pgevents producer").await?;
        declare_exchange(&channel, broker, Exchange::events(broker), declare).await?;
        if let Some(parking) = &settings.parking {
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
            exchange: short(&broker.exchange),
            parking: settings.parking.as_deref().map(short),
            unroutable,
            broker: broker.clone(),
            fence: settings.fence,
            claimed: None,
            limits: Limits {
                longest_key: Some(LONGEST_KEY),
                largest_body: Some(settings.max_message_bytes),
            },
            properties,
            in_flight: InFlight::default(),
            settlement: Settlement::default(),
        })
    }

    fn send(&mut self, given: Given, message: Message) {
        let Message {
            exchange,
            key,
            properties,
            body,
        } = message;
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let channel = Arc::clone(&self.channel);
        self.in_flight.push(given, async move {
            channel
                .basic_publish(exchange, key, options, &body, properties)
                .await
        });
    }

    /// The key of a message, where the session goes on after one has come back, so that it has to
    /// be known which.
    fn id_to_keep(&self, properties: &BasicProperties) -> Option<ShortString> {
        match self.unroutable {
            Unroutable::Park | Unroutable::Drop => properties.message_id().clone(),
            Unroutable::Block | Unroutable::Stop => None,
        }
    }

    /// Hands out what has become of messages. What came back goes to the parking exchange first, if
    /// that is the policy, and counts when its copy has arrived.
    fn hand_out(&mut self, outcomes: &mut Vec<Outcome>) {
        let mut to_park = Vec::new();
        let unroutable = self.unroutable;
        self.settlement.hand_out(|settled| match settled {
            Settled::Nacked(given) => outcomes.push(Outcome::Nacked(given.message)),
            Settled::Confirmed(given) => outcomes.push(match given.parked {
                Some(unrouted) => Outcome::Parked(given.message, unrouted),
                None => Outcome::Confirmed(given.message),
            }),
            Settled::Returned(given, returned) => {
                let unrouted = returned.unrouted();
                match unroutable {
                    Unroutable::Park if !returned.parked => {
                        to_park.push((given.message, unrouted, returned));
                    }
                    Unroutable::Drop => outcomes.push(Outcome::Dropped(given.message, unrouted)),
                    Unroutable::Park | Unroutable::Block | Unroutable::Stop => {
                        outcomes.push(Outcome::Unrouted(given.message, unrouted));
                    }
                }
            }
        });
        // lapin completes the messages of one confirm in any order; they keep theirs.
        to_park.sort_unstable_by_key(|(message, ..)| message.number);
        for (message, unrouted, returned) in to_park {
            self.park(message, unrouted, *returned);
        }
    }

    /// Sends a message that came back once more, to the parking exchange.
    fn park(&mut self, message: Sent, unrouted: Unrouted, returned: Returned) {
        let given = Given {
            message,
            message_id: self.id_to_keep(&returned.properties),
            parked: Some(unrouted),
        };
        let message = Message {
            // Without one the policy is another.
            exchange: self.parking.clone().unwrap_or_default(),
            key: returned.routing_key,
            properties: returned.properties,
            body: returned.body,
        };
        self.send(given, message);
    }

    /// What it means that a message did not get an answer.
    fn failure(&self, source: lapin::Error) -> SinkError {
        if reply_code(&source) != Some(403) {
            return lost(source);
        }
        let url = &self.broker.url;
        let (vhost, user) = (shell_word(url.vhost()), shell_word(url.user()));
        SinkError::Forbidden {
            exchange: self.broker.exchange.clone(),
            remedy: format!(
                "let {user} write there, in its permissions and, if it has any, in its topic \
                 permissions; see: rabbitmqctl list_user_permissions {user}; rabbitmqctl \
                 list_topic_permissions -p {vhost}"
            ),
            source: Box::new(source),
        }
    }

    fn take_completed(&mut self, cx: &mut Context<'_>) -> Result<(), SinkError> {
        while let Poll::Ready(ended) = self.in_flight.poll_next(cx) {
            let (given, confirmation) = ended.map_err(|error| self.failure(error))?;
            let end = match confirmation {
                Confirmation::Ack(None) => End::Acked,
                Confirmation::Ack(Some(returned)) => {
                    End::AckedWith(Box::new(Returned::of(returned, self.parking.as_ref())))
                }
                Confirmation::Nack(_) => End::Nacked,
                Confirmation::NotRequested => return Err(SinkError::NotConfirming),
            };
            self.settlement.take(given, end);
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

/// A message for the channel.
struct Message {
    exchange: ShortString,
    key: ShortString,
    properties: BasicProperties,
    body: Box<[u8]>,
}

impl Sink for Publisher {
    fn publish(&mut self, number: u64, message: Outgoing<'_>) {
        let properties = self
            .properties
            .clone()
            .with_message_id(short(message.message_id));
        let properties = match message.commit_time {
            Some(seconds) => properties.with_timestamp(seconds),
            None => properties,
        };
        let properties = match message.kind {
            // The `type` costs 12 bytes, and only where there is something to say; a table of
            // headers would cost 30.
            Some(kind) => properties.with_type(ShortString::from(kind)),
            None => properties,
        };
        let properties = match message.utf8 {
            true => properties,
            false => properties.with_content_type(ShortString::from("application/octet-stream")),
        };
        let given = Given {
            message: Sent {
                number,
                bytes: message.body.len() as u64,
            },
            message_id: self.id_to_keep(&properties),
            parked: None,
        };
        let message = Message {
            exchange: self.exchange.clone(),
            key: short(message.routing_key),
            properties,
            body: message.body.into(),
        };
        self.send(given, message);
    }

    async fn claim(&mut self, stream: &str) -> Result<Claim, SinkError> {
        if self.fence == Fence::Off || self.claimed.as_deref() == Some(stream) {
            return Ok(Claim::Sole);
        }
        let claim = fence::claim(&self.connection, &self.broker, self.fence, stream).await?;
        if claim == Claim::Sole {
            self.claimed = Some(stream.to_owned());
        }
        Ok(claim)
    }

    /// What came back may hang on the confirm of another message, so nothing counts before
    /// everything that lapin has completed with it or before it has been looked at.
    async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), SinkError> {
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
        self.hand_out(outcomes);
        Ok(())
    }

    fn health(&self) -> Result<Health, SinkError> {
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

    fn limits(&self) -> Limits {
        self.limits
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
