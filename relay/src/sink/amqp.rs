//! An exchange of RabbitMQ as a sink: AMQP 0-9-1 with publisher confirms. Nothing of lapin is named
//! outside of this module but by the consumer and `doctor`, which speak AMQP themselves.

mod connection;
mod exchange;
mod fence;
mod in_flight;
mod name;
mod publisher;
mod reply;
mod settings;
mod settlement;
mod url;
mod wakes;

pub use connection::connect;
pub use exchange::ExchangeDeclare;
pub(crate) use exchange::{Exchange, declare_exchange};
pub(crate) use fence::FENCE_PREFIX;
pub use fence::Fence;
pub(crate) use name::short;
pub use publisher::Publisher;
pub(crate) use reply::{reply_code, shell_word};
pub use settings::{Broker, Settings};
pub use url::{BrokerUrl, UrlFault};
