use std::fmt;

use pgevents_proto::{Lsn, moment_json};

use super::{Position, System};
use crate::exit::Exit;

/// Changes that the slot no longer has, or that nobody can say it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How it was noticed.
    pub reason: GapReason,
    /// The position that was acknowledged.
    pub from: Box<Position>,
    /// Cluster and timeline of the server now.
    pub system: System,
    /// Where the slot stands; `None`: there is no slot.
    pub to: Option<Lsn>,
}

/// How a gap was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The slot is gone.
    Missing,
    /// The slot stands further on: it was advanced or made anew, or another reader used it.
    Moved,
    /// It is another cluster.
    OtherSystem,
    /// It is the same cluster after a promotion or a recovery to a point in time, where the same
    /// positions hold other changes.
    OtherTimeline,
    /// The server was set back, for example to a copy of its disk: its WAL ends before the
    /// position, or holds other changes there than those that were acknowledged.
    Rewound,
}

impl GapReason {
    /// The exit code of a relay that may not go on behind the gap.
    pub fn exit(self) -> Exit {
        match self {
            Self::Missing => Exit::SlotMissing,
            Self::Moved | Self::OtherSystem | Self::OtherTimeline | Self::Rewound => {
                Exit::SlotMoved
            }
        }
    }

    /// The word for it in the gap record.
    fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Moved => "moved",
            Self::OtherSystem => "other_system",
            Self::OtherTimeline => "other_timeline",
            Self::Rewound => "rewound",
        }
    }
}

impl Gap {
    /// Routing key of the gap record.
    pub const ROUTING_KEY: &'static str = "pgevents.gap";

    /// Value of the property `type` of the gap record.
    pub const TYPE: &'static str = "gap";

    /// The gap behind `from` when there is no slot.
    pub fn missing(from: Position, system: System) -> Self {
        let reason = match from.system.id == system.id {
            true => GapReason::Missing,
            false => GapReason::OtherSystem,
        };
        Self {
            reason,
            from: Box::new(from),
            system,
            to: None,
        }
    }

    /// The gap behind `from` when the server was set back and its slot stands at `to`.
    pub fn rewound(from: Position, to: Lsn) -> Self {
        Self {
            reason: GapReason::Rewound,
            system: from.system,
            from: Box::new(from),
            to: Some(to),
        }
    }

    /// The same gap when a new slot stands at `to`.
    #[must_use]
    pub fn up_to(self, to: Lsn) -> Self {
        Self {
            to: Some(to),
            ..self
        }
    }

    /// The gap record: one JSON object. `time` is now, in microseconds since 2000-01-01 00:00 UTC.
    /// Nothing in it needs an escape but the name of the database, which is printable ASCII.
    pub fn record(&self, time: i64) -> String {
        let Position { slot, database, .. } = &*self.from;
        let database = database.replace('\\', "\\\\").replace('"', "\\\"");
        let reason = self.reason.word();
        let from = End(self.from.system, Some(self.from.acknowledged.wal));
        let to = End(self.system, self.to);
        let time = moment_json(time);
        format!(
            r#"{{"slot":"{slot}","database":"{database}","reason":"{reason}","from":{from},"to":{to},"time":{time}}}"#
        )
    }

    /// A name for the gap that is the same whenever its record is sent.
    pub fn id(&self) -> String {
        format!(
            "gap-{:016x}-{:016X}-{:016x}-{:016X}",
            self.from.system.id,
            self.from.acknowledged.wal.0,
            self.system.id,
            self.to.unwrap_or_default().0
        )
    }
}

impl fmt::Display for Gap {
    /// What was missed, on a line, without the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position {
            slot,
            system: before,
            acknowledged,
            ..
        } = &*self.from;
        let from = acknowledged.wal;
        let to = self.to.unwrap_or_default();
        match self.reason {
            GapReason::Missing => write!(
                f,
                "slot {slot:?} existed and is gone, so all changes after {from} may be missing"
            ),
            GapReason::Moved => write!(
                f,
                "slot {slot:?} stands at {to}, past {from} that the relay acknowledged ({} bytes of \
                 WAL): it was moved or made anew, so the changes between may be missing",
                to.0.saturating_sub(from.0)
            ),
            GapReason::OtherSystem => write!(
                f,
                "PostgreSQL is another system ({}) than before ({}), so changes after {from} of \
                 that one may be missing",
                self.system.id, before.id
            ),
            GapReason::OtherTimeline => write!(
                f,
                "PostgreSQL is on timeline {} and was on {} (a promotion, or a recovery to a point \
                 in time), so what was sent up to {from} may not be what this server has, and \
                 changes before {to} may be missing",
                self.system.timeline, before.timeline
            ),
            GapReason::Rewound => write!(
                f,
                "PostgreSQL does not have what the relay acknowledged up to {from}: the server was set \
                 back to an older state, so what was sent after {to} may not be what it has, and what \
                 it has committed since may be missing"
            ),
        }
    }
}

/// One end of a gap in JSON.
struct End(System, Option<Lsn>);

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(System { id, timeline }, lsn) = self;
        match lsn {
            Some(lsn) => write!(f, r#"{{"lsn":"{lsn}","#)?,
            None => f.write_str(r#"{"lsn":null,"#)?,
        }
        // As text: a system identifier is larger than what JavaScript's numbers hold.
        write!(f, r#""system_id":"{id}","timeline":{timeline}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(reason: GapReason, to: Option<u64>) -> Gap {
        let system = System { id: 7, timeline: 1 };
        Gap {
            reason,
            from: Box::new(Position::new("s", "a\"é", system, Lsn(0x10).into())),
            system,
            to: to.map(Lsn),
        }
    }

    #[test]
    fn the_record_is_the_documented_json() {
        assert_eq!(
            gap(GapReason::Moved, Some(0x30)).record(1_000_000),
            r#"{"slot":"s","database":"a\\\"\\u{e9}","reason":"moved","from":{"lsn":"0/10","system_id":"7","timeline":1},"to":{"lsn":"0/30","system_id":"7","timeline":1},"time":"2000-01-01T00:00:01+00:00"}"#
        );
    }

    #[test]
    fn every_reason_says_what_is_missing() {
        let says = |reason, to| gap(reason, to).to_string();
        assert!(says(GapReason::Moved, Some(0x30)).contains("(32 bytes of WAL)"));
        assert!(says(GapReason::Missing, None).contains("all changes after 0/10"));
        assert!(says(GapReason::OtherSystem, Some(0x30)).contains("another system (7)"));
        assert!(says(GapReason::OtherTimeline, Some(0x30)).contains("timeline 1"));
        assert!(says(GapReason::Rewound, Some(0x8)).contains("acknowledged up to 0/10"));
    }
}
