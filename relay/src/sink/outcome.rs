use crate::delivery::Sent;

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived where it must.
    Confirmed(Sent),
    /// No queue wanted it; it has arrived where such messages are kept.
    Parked(Sent, Unrouted),
    /// No queue wanted it, and it is dropped as the policy has it.
    Dropped(Sent, Unrouted),
    /// No queue wanted it, and nothing takes its place.
    Unrouted(Sent, Unrouted),
    /// The sink refused it, for example because a queue is full.
    Nacked(Sent),
}

/// Which message no queue wanted. Without its body, which holds a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrouted {
    /// Its routing key.
    pub routing_key: String,
    /// The broker's words.
    pub reply: String,
    /// Whether it was not even wanted where such messages are kept.
    pub parking: bool,
}
