use std::time::Duration;

use clap::ValueEnum;

/// What the operator decides about delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages that may be unconfirmed.
    pub window_messages: u64,
    /// Bytes of event bodies that may be unconfirmed; one larger event goes alone.
    pub window_bytes: u64,
    /// Silence of the broker, while confirms are due, that counts as death.
    pub confirm_timeout: Duration,
    /// What to do with an event that no queue wants.
    pub unroutable: Unroutable,
}

/// What to do with an event that no queue wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Unroutable {
    /// Nothing later is sent until it has arrived somewhere.
    #[default]
    Block,
}
