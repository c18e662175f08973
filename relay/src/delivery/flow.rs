use std::time::Duration;

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
}
