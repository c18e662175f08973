use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

use super::{NAME, Stage};
use crate::chaos::error::ChaosError;
use crate::lab::RabbitMq;

impl Stage {
    /// A channel of the campaign's own to the broker, past the proxy.
    ///
    /// # Errors
    ///
    /// What the broker says.
    pub async fn channel(&self) -> Result<(Connection, Channel), ChaosError> {
        Ok(channel(&self.rabbitmq).await?)
    }

    /// Declares exchange and queue and binds them.
    ///
    /// # Errors
    ///
    /// What the broker says.
    pub async fn declare(&self) -> Result<(), ChaosError> {
        declare(&self.rabbitmq).await
    }
}

async fn channel(rabbitmq: &RabbitMq) -> Result<(Connection, Channel), lapin::Error> {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rabbitmq.url(), properties).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// Declares exchange and quorum queue and binds them.
pub(super) async fn declare(rabbitmq: &RabbitMq) -> Result<(), ChaosError> {
    let (_connection, channel) = channel(rabbitmq).await?;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let none = FieldTable::default;
    channel
        .exchange_declare(NAME.into(), ExchangeKind::Topic, durable, none())
        .await?;
    let mut quorum = none();
    quorum.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(NAME.into(), QueueDeclareOptions::durable(), quorum)
        .await?;
    let options = QueueBindOptions::default();
    channel
        .queue_bind(NAME.into(), NAME.into(), "#".into(), options, none())
        .await?;
    Ok(())
}
