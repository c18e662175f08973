//! Which position of which slot has been acknowledged, kept across restarts, and what it means when
//! the slot stands elsewhere.
//!
//! Without a state file the slot is the truth. With one the relay also goes on exactly where it was
//! after a crash that set the slot back, and sees a slot that was moved, re-created, or belongs to
//! another system.

mod disk;
mod fnv;
mod gap;
mod recorder;
mod start;
mod state_file;
mod state_text;
mod system;
mod timelines;

pub use disk::{Disk, LocalDisk};
pub use fnv::Fnv1a;
pub use gap::{Gap, GapReason};
pub use recorder::{RecordFault, Recorder};
pub use start::{Before, Found, Start};
pub use state_file::{StateError, StateFile};
pub use system::System;
pub use timelines::Timelines;

use pgevents_proto::Lsn;

use crate::delivery::Acknowledged;

/// A position, and what it is a position of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Slot.
    pub slot: String,
    /// Database, with everything but printable ASCII escaped, so that it fits on a line.
    pub database: String,
    /// Cluster and timeline. The same position on another timeline means other changes.
    pub system: System,
    /// What is asked of the source, as a number: under another one it gives other events.
    pub asked: u64,
    /// Everything before it has been acknowledged, or may be: the broker has confirmed it.
    pub acknowledged: Acknowledged,
}

impl Position {
    /// A position of `slot` in `database`.
    pub fn new(slot: &str, database: &str, system: System, acknowledged: Acknowledged) -> Self {
        Self {
            slot: slot.to_owned(),
            database: database.escape_default().to_string(),
            system,
            asked: 0,
            acknowledged,
        }
    }

    /// The same when `asked` is asked of the source.
    #[must_use]
    pub fn asking(self, asked: u64) -> Self {
        Self { asked, ..self }
    }

    /// What has arrived when this position was acknowledged, the slot is `found`, and the server's
    /// WAL ends at `wal_end`: everything up to here, since after a crash of PostgreSQL the slot may
    /// stand before it.
    ///
    /// # Errors
    ///
    /// The gap, when what follows this position cannot be had from the slot.
    pub fn resume(&self, found: &Self, wal_end: Lsn) -> Result<Acknowledged, Gap> {
        let reason = if found.system.id != self.system.id {
            GapReason::OtherSystem
        } else if found.system.timeline != self.system.timeline {
            GapReason::OtherTimeline
        } else if found.acknowledged.wal > self.acknowledged.wal {
            GapReason::Moved
        } else if wal_end < self.acknowledged.wal {
            GapReason::Rewound
        } else {
            return Ok(self.acknowledged);
        };
        Err(Gap {
            reason,
            from: Box::new(self.clone()),
            system: found.system,
            to: Some(found.acknowledged.wal),
        })
    }

    /// Whether it is a later position of the same stream of changes.
    pub(crate) fn is_further_than(&self, other: &Self) -> bool {
        let stream = |p: &Self| (p.slot.clone(), p.database.clone(), p.system);
        stream(self) == stream(other) && self.acknowledged.is_beyond(other.acknowledged)
    }

    /// The further one of two positions in the same stream of changes, else `self`.
    #[must_use]
    pub fn or_further(self, other: Self) -> Self {
        let stream = |p: &Self| (p.slot.clone(), p.database.clone(), p.system);
        match stream(&self) == stream(&other) {
            true => Self {
                acknowledged: self.acknowledged.max(other.acknowledged),
                ..self
            },
            false => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(id: u64, timeline: u32, acknowledged: u64) -> Position {
        Position::new("s", "d", System { id, timeline }, Lsn(acknowledged).into())
    }

    fn check(found: Position, expected: Result<Lsn, GapReason>) {
        let outcome = position(7, 1, 100).resume(&found, Lsn(200));
        let outcome = outcome.map(|start| start.wal).map_err(|gap| gap.reason);
        assert_eq!(outcome, expected, "{found:?}");
    }

    #[test]
    fn a_slot_at_or_behind_the_position_goes_on_there() {
        check(position(7, 1, 100), Ok(Lsn(100)));
        check(position(7, 1, 40), Ok(Lsn(100)));
    }

    #[test]
    fn anything_else_is_a_gap() {
        check(position(7, 1, 101), Err(GapReason::Moved));
        check(position(8, 1, 100), Err(GapReason::OtherSystem));
        check(position(7, 2, 40), Err(GapReason::OtherTimeline));
    }

    #[test]
    fn a_server_whose_wal_ends_before_the_position_was_set_back() {
        let outcome = position(7, 1, 100).resume(&position(7, 1, 40), Lsn(99));
        assert_eq!(outcome.map_err(|gap| gap.reason), Err(GapReason::Rewound));
    }

    #[test]
    fn positions_of_other_streams_are_not_compared() {
        let further = |other| position(7, 1, 100).or_further(other).acknowledged.wal;
        assert_eq!(further(position(7, 1, 150)), Lsn(150));
        assert_eq!(further(position(7, 1, 50)), Lsn(100));
        assert_eq!(further(position(7, 2, 150)), Lsn(100));
    }
}
