use std::path::PathBuf;

use super::{BrokerUrl, ExchangeDeclare, Fence};
use crate::{secret::first_line, tls::Certificates};

/// A broker's exchange.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where the broker is and who asks.
    pub url: BrokerUrl,
    /// The file that the URL was read from, which may hold another one at the next connection;
    /// `None`: it was given.
    pub url_file: Option<PathBuf>,
    /// Exchange, up to 255 bytes.
    pub exchange: String,
    /// For amqps.
    pub certificates: Certificates,
}

impl Broker {
    /// Where the broker is and who asks, as the file has it now. One that cannot be read, or not be
    /// understood, changes nothing: it may be in the middle of a change.
    pub fn current_url(&self) -> BrokerUrl {
        let file = self.url_file.as_ref();
        let read = file.and_then(|path| first_line(path).ok().flatten());
        let parsed = read.and_then(|url| BrokerUrl::parse(&url).ok());
        // Whether to encrypt was settled with the certificates.
        let same = parsed.filter(|url| url.is_encrypted() == self.url.is_encrypted());
        same.unwrap_or_else(|| self.url.clone())
    }
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
