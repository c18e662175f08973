use std::time::Duration;

use pgevents_proto::Lsn;

use super::Held;

/// What has happened since the relay was started. Plain numbers: whoever shows them copies them now
/// and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that were started; all but the first are reconnections.
    pub sessions: u64,
    /// Bytes of frames that were read.
    pub received_bytes: u64,
    /// Transactions that were read to their end.
    pub transactions: u64,
    /// Messages that went to the sink, repeated ones included.
    pub published: u64,
    /// Bytes of their bodies.
    pub published_bytes: u64,
    /// Messages that the sink has taken responsibility for.
    pub confirmed: u64,
    /// Messages that no queue wanted.
    pub returned: u64,
    /// Those of them that went to the parking exchange.
    pub parked: u64,
    /// Those of them that were dropped.
    pub dropped: u64,
    /// Events that were too large and went as a marker.
    pub omitted: u64,
    /// Messages that the sink refused.
    pub nacked: u64,
    /// Rows that the plugin kept back by its options.
    pub rows_filtered: u64,
    /// Updates that changed nothing and that the plugin kept back.
    pub rows_unchanged: u64,
    /// Position of the last data that came from the server.
    pub received: Lsn,
}

/// How the stream flows at one moment, for people and probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Messages without a confirmation, and those confirmed out of turn behind them.
    pub in_flight: u64,
    /// Bytes of the bodies of unconfirmed messages.
    pub in_flight_bytes: u64,
    /// Whether the sink says that it takes nothing for now.
    pub blocked: bool,
    /// How long the sink has owed a confirm without giving one.
    pub sink_silent: Duration,
    /// How long nothing has come from the server.
    pub server_silent: Duration,
    /// How long the session has run.
    pub running: Duration,
    /// What holds the acknowledged position back.
    pub held: Held,
    /// For how long it has stood still; zero while nothing holds it back.
    pub held_for: Duration,
}
