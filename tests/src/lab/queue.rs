//! What a consumer of RabbitMQ sees.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::Value;
use tokio::time::timeout;

use pgevents_servers::PATIENCE;

/// Messages that the broker may send ahead of the acknowledgements.
const PREFETCH: u16 = 4_000;

/// An acknowledgement covers this many messages, or as many as a test asked for.
const ACK_EVERY: u64 = 500;

/// One message as it arrived.
#[derive(Debug, Clone)]
pub struct Event {
    /// The routing key, `schema.table`.
    pub routing_key: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// The property `message_id`, or an empty string.
    pub message_id: String,
    /// The property `type`, or an empty string.
    pub kind: String,
    /// The property `content_type`, or an empty string.
    pub content_type: String,
    /// The property `delivery_mode`; 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// The property `timestamp`, in seconds since 1970.
    pub timestamp: Option<u64>,
    /// Whether the broker says that it sent this message before.
    pub redelivered: bool,
}

impl Event {
    /// The body as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an event is UTF-8")
    }

    /// The body as JSON; numbers keep their text and objects the order of their keys.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("an event is JSON, but {error}: {}", self.text()))
    }

    fn of(delivery: Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |property: &Option<lapin::types::ShortString>| {
            property
                .as_ref()
                .map_or_else(String::new, |value| value.as_str().to_owned())
        };
        Self {
            routing_key: delivery.routing_key.as_str().to_owned(),
            message_id: text(properties.message_id()),
            kind: text(properties.kind()),
            content_type: text(properties.content_type()),
            delivery_mode: *properties.delivery_mode(),
            timestamp: *properties.timestamp(),
            redelivered: delivery.redelivered,
            body: delivery.data,
        }
    }
}

/// A durable queue that is bound with `#` to a durable topic exchange, and its consumer. Declared
/// before the relay starts, so nothing that the relay publishes is unroutable.
pub struct Queue {
    url: String,
    exchange: String,
    name: String,
    kind: &'static str,
    exchange_kind: ExchangeKind,
    consumer: Consumer,
    unacknowledged: u64,
    patience: Duration,
    _connection: Connection,
}

impl Queue {
    pub(super) async fn bind(
        url: &str,
        exchange: &str,
        exchange_kind: ExchangeKind,
        name: &str,
        kind: &'static str,
    ) -> Self {
        let opening = open(url, exchange, exchange_kind.clone(), name, kind);
        let opened = timeout(PATIENCE, opening).await;
        let (connection, consumer) = opened
            .unwrap_or_else(|_| panic!("open queue {name}: no answer in {PATIENCE:?}"))
            .unwrap_or_else(|error| panic!("open queue {name}: {error}"));
        Self {
            url: url.to_owned(),
            exchange: exchange.to_owned(),
            name: name.to_owned(),
            kind,
            exchange_kind,
            consumer,
            unacknowledged: 0,
            patience: PATIENCE,
            _connection: connection,
        }
    }

    /// Waits so long for each message instead of [`PATIENCE`]: a server may read gigabytes of WAL
    /// before it sends the first row of a transaction.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects anew, after the broker was away. What was not acknowledged comes again.
    pub async fn reconnect(&mut self) {
        let exchange_kind = self.exchange_kind.clone();
        *self = Self::bind(
            &self.url,
            &self.exchange,
            exchange_kind,
            &self.name,
            self.kind,
        )
        .await;
    }

    /// Waits for the next message.
    ///
    /// # Panics
    ///
    /// When none comes in time, or the broker goes away.
    pub async fn next(&mut self) -> Event {
        let mut events = self.take(1).await;
        events.pop().expect("one was taken")
    }

    /// Waits for the next `count` messages.
    ///
    /// # Panics
    ///
    /// When they do not come in time, or the broker goes away.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        if count > 0 {
            self.until(|event| {
                events.push(event);
                events.len() == count
            })
            .await;
        }
        events
    }

    /// Hands every message to `done` until that says so.
    ///
    /// # Panics
    ///
    /// When a message does not come in time, or the broker goes away.
    pub async fn until(&mut self, done: impl FnMut(Event) -> bool) {
        let seen = self.until_closed(done).await;
        seen.unwrap_or_else(|error| panic!("read queue {}: {error}", self.name));
    }

    /// Like [`Queue::until`], but gives the error when the broker goes away. The queue is usable
    /// again after [`Queue::reconnect`].
    ///
    /// # Errors
    ///
    /// What ended the connection.
    ///
    /// # Panics
    ///
    /// When a message does not come in time.
    pub async fn until_closed(
        &mut self,
        mut done: impl FnMut(Event) -> bool,
    ) -> Result<(), lapin::Error> {
        let mut count: u64 = 0;
        loop {
            let Ok(next) = timeout(self.patience, self.consumer.next()).await else {
                panic!(
                    "queue {}: no message for {:?} after {count}",
                    self.name, self.patience
                );
            };
            let Some(delivery) = next else {
                return Err(lapin::ErrorKind::InvalidConnectionState(
                    lapin::ConnectionState::Closed,
                )
                .into());
            };
            let delivery = delivery?;
            count += 1;
            let acker = delivery.acker.clone();
            let finished = done(Event::of(delivery));
            self.unacknowledged += 1;
            if finished || self.unacknowledged >= ACK_EVERY {
                acker.ack(BasicAckOptions { multiple: true }).await?;
                self.unacknowledged = 0;
            }
            if finished {
                return Ok(());
            }
        }
    }
}

async fn open(
    url: &str,
    exchange: &str,
    exchange_kind: ExchangeKind,
    name: &str,
    kind: &'static str,
) -> Result<(Connection, Consumer), lapin::Error> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let none = FieldTable::default;
    channel
        .exchange_declare(exchange.into(), exchange_kind, durable, none())
        .await?;
    let mut arguments = none();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    channel
        .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
        .await?;
    let binding = QueueBindOptions::default();
    channel
        .queue_bind(name.into(), exchange.into(), "#".into(), binding, none())
        .await?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel
        .basic_consume(name.into(), "lab".into(), options, none())
        .await?;
    Ok((connection, consumer))
}
