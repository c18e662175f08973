//! Where a stream starts: decided from what is known and what is found, without asking anybody.

use pgevents_proto::Lsn;

use super::{Gap, GapReason, Position, System};
use crate::delivery::{Acknowledged, Commit};

/// What is known before the server is looked at.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// What was acknowledged: of the state file, which another relay may have written, and of this
    /// process, if nobody else has had the slot since; `None`: nothing is known.
    pub position: Option<Position>,
    /// Where the slot stood when another relay was last seen to have it; `None`: none was while
    /// this relay waited.
    pub others: Option<Lsn>,
    /// Whether the position is that of the state file: a relay that shares it has written down what
    /// it has acknowledged, so that nobody else explains a slot that was moved.
    recorded: bool,
}

/// The server and the slot, as they are found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The position of the slot, or of the new one.
    pub slot: Position,
    /// Where the server's WAL ends.
    pub wal_end: Lsn,
    /// What is missing because there was no slot.
    pub missing: Option<Gap>,
}

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What has arrived.
    pub position: Position,
    /// Where the source starts: where the slot stands.
    pub from: Lsn,
    /// The last of what the source will give again although it has arrived. Until it has come, as
    /// it was, nobody knows whether the server still has the history that it had; `None`: all that
    /// comes is new, or may be.
    pub known: Option<Commit>,
    /// What may be missing before it, and was accepted.
    pub gap: Option<Gap>,
    /// Whether it is another relay that has moved the slot to it.
    pub moved_by_another: bool,
}

impl Start {
    /// The start behind a gap that a session has found, and that is accepted: where the slot
    /// stands.
    pub fn behind(gap: Gap, found: Found) -> Self {
        Self {
            from: found.slot.acknowledged.wal,
            position: found.slot,
            known: None,
            gap: Some(gap),
            moved_by_another: false,
        }
    }
}

impl Before {
    /// What is known of the position: what was `recorded`, and what this process `remembers` unless
    /// somebody else has had the slot since.
    pub fn new(
        recorded: Option<Position>,
        remembered: Option<Position>,
        others: Option<Lsn>,
    ) -> Self {
        let remembered = remembered.filter(|_| others.is_none());
        let is_recorded = recorded.is_some();
        let position = match (recorded, remembered) {
            (Some(recorded), Some(remembered)) => Some(remembered.or_further(recorded)),
            (recorded, remembered) => recorded.or(remembered),
        };
        Self {
            position,
            others,
            recorded: is_recorded,
        }
    }

    /// What is missing where there is no slot; `None`: nothing, as there was none before either.
    /// `slot` and `database` name it.
    pub fn without_slot(&self, slot: &str, database: &str, system: System) -> Option<Gap> {
        let others = self.others.map(Acknowledged::from);
        let others = others.map(|lsn| Position::new(slot, database, system, lsn));
        let before = self.position.clone().or(others)?;
        Some(Gap::missing(before, system))
    }

    /// Where to start.
    ///
    /// # Errors
    ///
    /// What is missing, unless it is to be accepted.
    pub fn start(self, found: Found, accept_gap: bool) -> Result<Start, Gap> {
        let Found {
            slot,
            wal_end,
            missing,
        } = found;
        let from = slot.acknowledged.wal;
        let at = |mut acknowledged: Acknowledged| {
            if self
                .position
                .as_ref()
                .is_some_and(|p| p.asked != slot.asked)
            {
                // It may not come again.
                acknowledged.commit = Commit::default();
            }
            Start {
                known: Some(acknowledged.commit).filter(|commit| commit.end > from),
                position: Position {
                    acknowledged,
                    ..slot.clone()
                },
                from,
                gap: None,
                moved_by_another: false,
            }
        };
        let outcome = match (missing, &self.position) {
            (Some(missing), _) => Err(missing.up_to(slot.acknowledged.wal)),
            (None, None) => Ok(at(slot.acknowledged)),
            (None, Some(known)) => match known.resume(&slot, wal_end) {
                Err(gap) if gap.reason == GapReason::Moved && self.may_be_moved() => Ok(Start {
                    moved_by_another: true,
                    ..at(slot.acknowledged)
                }),
                outcome => outcome.map(at),
            },
        };
        match outcome {
            Err(gap) if accept_gap => Ok(Start {
                gap: Some(gap),
                ..at(slot.acknowledged)
            }),
            outcome => outcome,
        }
    }

    /// Whether another relay explains that the slot has moved.
    fn may_be_moved(&self) -> bool {
        self.others.is_some() && !self.recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: System = System { id: 7, timeline: 1 };

    fn position(wal: u64) -> Position {
        Position::new("s", "d", SYSTEM, Lsn(wal).into())
    }

    /// The same, behind a transaction that ended there.
    fn behind(end: u64, wal: u64) -> (Position, Commit) {
        let commit = Commit {
            end: Lsn(end),
            time: 1,
            xid: 2,
        };
        let mut position = position(wal);
        position.acknowledged.commit = commit;
        (position, commit)
    }

    fn found(wal: u64) -> Found {
        Found {
            slot: position(wal),
            wal_end: Lsn(1_000),
            missing: None,
        }
    }

    /// Where it starts, or why not.
    fn started(before: Before, found: Found, accept: bool) -> Result<u64, GapReason> {
        let start = before.start(found, accept);
        let start = start.map(|start| start.position.acknowledged.wal.0);
        start.map_err(|gap| gap.reason)
    }

    #[test]
    fn what_is_remembered_counts_unless_another_relay_had_the_slot() {
        let alone = Before::new(None, Some(position(50)), None);
        assert_eq!(started(alone, found(20), false), Ok(50));
        let shared = Before::new(None, Some(position(50)), Some(Lsn(60)));
        assert_eq!(started(shared, found(80), false), Ok(80));
    }

    #[test]
    fn the_further_of_file_and_memory_counts() {
        let before = Before::new(Some(position(40)), Some(position(50)), None);
        assert_eq!(started(before, found(20), false), Ok(50));
    }

    #[test]
    fn what_comes_again_from_the_slot_is_known_up_to_the_last_commit() {
        let (before, commit) = behind(40, 50);
        let start = |slot| {
            let before = Before::new(Some(before.clone()), None, None);
            let start = before.start(found(slot), false).expect("no gap");
            (start.from, start.position.acknowledged.wal, start.known)
        };
        assert_eq!(start(20), (Lsn(20), Lsn(50), Some(commit)));
        assert_eq!(start(40), (Lsn(40), Lsn(50), None));
        assert_eq!(start(50), (Lsn(50), Lsn(50), None));
    }

    #[test]
    fn where_something_else_was_asked_for_nothing_is_known() {
        let (before, _) = behind(40, 50);
        let before = Before::new(Some(before.asking(1)), None, None);
        let start = before.start(found(20), false).expect("no gap");
        assert_eq!((start.from, start.known), (Lsn(20), None));
    }

    #[test]
    fn a_slot_that_was_moved_is_a_gap_and_accepted_only_if_asked() {
        let before = || Before::new(Some(position(40)), None, None);
        assert_eq!(started(before(), found(60), false), Err(GapReason::Moved));
        assert_eq!(started(before(), found(60), true), Ok(60));
        let shared = Before::new(Some(position(40)), None, Some(Lsn(50)));
        assert_eq!(started(shared, found(60), false), Err(GapReason::Moved));
    }

    #[test]
    fn another_relay_that_moves_the_slot_on_keeps_the_file_that_both_have() {
        let before = Before::new(Some(position(60)), None, Some(Lsn(50)));
        assert_eq!(started(before, found(60), false), Ok(60));
        let behind = Before::new(Some(position(70)), None, Some(Lsn(50)));
        assert_eq!(started(behind, found(60), false), Ok(70));
    }

    #[test]
    fn a_slot_that_is_gone_is_a_gap_if_it_was_known() {
        let known = Before::new(Some(position(40)), None, None);
        let missing = known.without_slot("s", "d", SYSTEM);
        assert!(missing.is_some());
        let anew = Found {
            missing,
            ..found(90)
        };
        let outcome = started(known, anew.clone(), false);
        assert_eq!(outcome, Err(GapReason::Missing));
        assert_eq!(started(Before::default(), anew, true), Ok(90));
        let seen = Before::new(None, None, Some(Lsn(30)));
        assert!(seen.without_slot("s", "d", SYSTEM).is_some());
        let unknown = Before::default();
        assert_eq!(unknown.without_slot("s", "d", SYSTEM), None);
    }
}
