use super::{BrokerUrl, ExchangeDeclare, Fence};
use crate::tls::Certificates;

/// A broker's exchange.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where the broker is and who asks.
    pub url: BrokerUrl,
    /// Exchange, up to 255 bytes.
    pub exchange: String,
    /// For amqps.
    pub certificates: Certificates,
}

/// Settings of a sink that is an exchange of RabbitMQ.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker and the exchange.
    pub broker: Broker,
    /// How the exchange comes to be.
    pub declare: ExchangeDeclare,
    /// Whether the broker lets one relay of a slot publish at a time.
    pub fence: Fence,
    /// Exchange for events that no queue wants, up to 255 bytes; `None`: the policy is another.
    pub parking: Option<String>,
    /// Largest body that the broker takes, in bytes.
    pub max_message_bytes: u64,
}
