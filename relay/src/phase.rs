//! What the relay is doing, in one word.

use std::fmt;

/// What the relay is doing: for the loop, the log and monitoring alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It connects to both sides, for the first time or after a failure.
    #[default]
    Connecting,
    /// Another relay has the slot; this one waits to take over.
    Standby,
    /// It streams.
    Streaming,
    /// It was asked to stop and waits for the last confirms.
    Stopping,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [
        Self::Connecting,
        Self::Standby,
        Self::Streaming,
        Self::Stopping,
    ];

    /// The phase in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::Streaming => "streaming",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
