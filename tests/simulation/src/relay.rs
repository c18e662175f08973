use std::time::Duration;

use pgevents_proto::{Decoder, Lsn};
use pgevents_relay::delivery::{Feed, Policy};

use crate::oracle::SYSTEM;

/// The relay's process: the real core, and of the tasks around it only what they remember.
#[derive(Debug)]
pub struct Relay {
    /// The core.
    pub feed: Feed,
    /// Highest position that was acknowledged, or where the slot stood; `None` before the first
    /// session.
    pub acknowledged: Option<Lsn>,
    /// Whether a session runs.
    pub streams: bool,
    /// Reads the session's frames; `None` before the first and while one is read.
    pub decoder: Option<Decoder>,
    /// End of the last transaction that was read.
    pub committed: Lsn,
}

impl Relay {
    /// A process that has just been started.
    pub fn start(policy: Policy) -> Self {
        Self {
            feed: Feed::new(policy),
            acknowledged: None,
            streams: false,
            decoder: None,
            committed: Lsn(0),
        }
    }

    /// A session starts.
    pub fn start_session(&mut self, now: Duration) {
        self.feed.start(SYSTEM, now);
        self.streams = true;
        self.decoder = None;
        self.committed = Lsn(0);
    }

    /// The session is over; what it has acknowledged stays.
    pub fn end_session(&mut self) {
        let acknowledged = self.feed.delivery.acknowledge();
        self.acknowledged = self.acknowledged.max(Some(acknowledged));
        self.streams = false;
    }
}
