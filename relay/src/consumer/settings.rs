use super::{Filter, View};
use crate::sink::amqp::Broker;

/// Settings of `consumer_debug`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker and the exchange.
    pub broker: Broker,
    /// Queue, up to 255 bytes.
    pub queue: String,
    /// Binding keys; at least one.
    pub binding_keys: Vec<String>,
    /// Type of a queue that has to be made.
    pub queue_type: QueueType,
    /// Which messages are shown.
    pub filter: Filter,
    /// How they are shown.
    pub view: View,
}

/// Type of the consumer's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueType {
    /// On one node, not synced to disk before the confirm.
    #[default]
    Classic,
    /// Replicated, and synced to disk before the confirm.
    Quorum,
}
