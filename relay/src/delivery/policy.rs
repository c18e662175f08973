use std::time::Duration;

/// What the operator decides about delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages from the oldest unconfirmed one on that may be on their way.
    pub window_messages: u64,
    /// Bytes of event bodies that may be unconfirmed; one larger event goes alone.
    pub window_bytes: u64,
    /// Silence of the broker, while confirms are due, that counts as death.
    pub confirm_timeout: Duration,
    /// What to do with an event that no queue wants.
    pub unroutable: Unroutable,
    /// What to do with an event that is larger than the sink takes.
    pub too_large: TooLarge,
}

/// What to do with an event that no queue wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unroutable {
    /// Nothing later is acknowledged until it has arrived somewhere: try again, from it on.
    #[default]
    Block,
    /// It goes to the parking exchange, and counts as delivered when that has confirmed it.
    Park,
    /// It is counted and forgotten.
    Drop,
    /// The relay ends with exit code 21.
    Stop,
}

/// What to do with an event that is larger than the broker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLarge {
    /// A small event goes in its place, which says whose and how large it was.
    #[default]
    Marker,
    /// The relay ends with exit code 22.
    Stop,
}
