//! What the source gives again although it has arrived.

use std::collections::VecDeque;

use pgevents_proto::Lsn;

use crate::delivery::Commit;

/// What has arrived in earlier sessions, of what the source gives again.
///
/// The source starts where the slot stands, which may be before what was acknowledged: everything
/// up to the last transaction of that is left out, and that transaction has to come as it was. If
/// it does not, the server has another history. Of the first transaction behind it, what was
/// confirmed when the last session ended is left out too: a transaction that is larger than the
/// room of a queue would never come to its end otherwise.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// The last of what has arrived as a whole; `None`: it has come.
    last: Option<Commit>,
    /// Whether the running transaction is of that.
    is_known: bool,
    /// A transaction of which so many events have arrived.
    part: Option<(Commit, u64)>,
    /// Events of the running transaction that are still to be left out.
    left_out: u64,
    /// The transactions of this session that are not all confirmed, and at most one more.
    under_way: VecDeque<UnderWay>,
}

/// A transaction of this session.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    commit: Commit,
    /// Number of its first message in this session.
    first: u64,
    /// Events before that one, which had arrived.
    left_out: u64,
}

/// The server does not have what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rewound;

impl Arrived {
    /// A session starts, of which everything up to `last` is known. In the one before, the first
    /// message without a confirmation was `first_unconfirmed`.
    pub(super) fn start(&mut self, last: Option<Commit>, first_unconfirmed: u64) {
        let begun = self.under_way.iter().rev();
        if let Some(running) = begun.clone().find(|t| t.first <= first_unconfirmed) {
            let events = running.left_out + (first_unconfirmed - running.first);
            self.part = (events > 0).then_some((running.commit, events));
        }
        self.under_way.clear();
        self.last = last;
        self.is_known = false;
        self.left_out = 0;
    }

    /// A transaction begins; its first message would have the number `first`. Says whether it is
    /// new, at least in part.
    ///
    /// # Errors
    ///
    /// What should have come is not there.
    pub(super) fn begin(
        &mut self,
        commit: Commit,
        first: u64,
        first_unconfirmed: u64,
    ) -> Result<bool, Rewound> {
        self.is_known = self.is_of_last(commit)?;
        if self.is_known {
            return Ok(false);
        }
        self.left_out = match self.part.take() {
            Some((known, events)) if known == commit => events,
            _ => 0,
        };
        while self
            .under_way
            .get(1)
            .is_some_and(|next| next.first <= first_unconfirmed)
        {
            self.under_way.pop_front();
        }
        self.under_way.push_back(UnderWay {
            commit,
            first,
            left_out: self.left_out,
        });
        Ok(true)
    }

    /// Whether the next event of the running transaction has arrived, and is to be left out.
    pub(super) fn leaves_out(&mut self) -> bool {
        let left_out = self.left_out > 0;
        self.left_out -= u64::from(left_out);
        self.is_known || left_out
    }

    /// The running transaction is complete. Says whether it is new.
    pub(super) fn commit(&mut self, commit: Commit) -> bool {
        let is_new = !std::mem::take(&mut self.is_known);
        self.left_out = 0;
        self.last = self.last.filter(|last| *last != commit);
        is_new
    }

    /// Whether all that had arrived as a whole has come again, or there was nothing of it.
    pub(super) fn is_over(&self) -> bool {
        self.last.is_none()
    }

    /// A message outside of any transaction has come. Says whether it is new.
    ///
    /// # Errors
    ///
    /// What should have come is not there.
    pub(super) fn outside(&mut self, message: Commit) -> Result<bool, Rewound> {
        let is_known = self.is_of_last(message)?;
        self.last = self.last.filter(|last| *last != message);
        Ok(!is_known)
    }

    /// The server has sent everything before `wal_end`. Says whether that may count: before the
    /// last of what has arrived has come, nothing may.
    ///
    /// # Errors
    ///
    /// What should have come is not there.
    pub(super) fn sent_up_to(&self, wal_end: Lsn) -> Result<bool, Rewound> {
        match self.last {
            None => Ok(true),
            Some(last) if wal_end < last.end => Ok(false),
            Some(_) => Err(Rewound),
        }
    }

    fn is_of_last(&self, commit: Commit) -> Result<bool, Rewound> {
        match self.last {
            None => Ok(false),
            Some(last) if commit == last || commit.end < last.end => Ok(true),
            Some(_) => Err(Rewound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(end: u64) -> Commit {
        Commit {
            end: Lsn(end),
            time: end as i64,
            xid: 7,
        }
    }

    fn from(last: Option<u64>) -> Arrived {
        let mut arrived = Arrived::default();
        arrived.start(last.map(commit), 0);
        arrived
    }

    #[test]
    fn what_comes_again_is_left_out_up_to_the_last_that_is_known() {
        let mut arrived = from(Some(20));
        for (end, new) in [(10, false), (20, false), (30, true)] {
            assert_eq!(arrived.begin(commit(end), 0, 0), Ok(new));
            assert_eq!(arrived.leaves_out(), !new);
            assert_eq!(arrived.commit(commit(end)), new);
            assert_eq!(arrived.sent_up_to(Lsn(end)), Ok(end >= 20));
        }
    }

    #[test]
    fn another_history_is_found_out_by_whatever_comes_in_the_place_of_the_last() {
        let other = Commit {
            time: 0,
            ..commit(20)
        };
        assert_eq!(from(Some(20)).begin(other, 0, 0), Err(Rewound));
        assert_eq!(from(Some(20)).begin(commit(21), 0, 0), Err(Rewound));
        assert_eq!(from(Some(20)).outside(Lsn(20).into()), Err(Rewound));
        assert_eq!(from(Some(20)).sent_up_to(Lsn(20)), Err(Rewound));
        assert_eq!(from(Some(20)).sent_up_to(Lsn(19)), Ok(false));
    }

    #[test]
    fn a_message_outside_of_transactions_can_be_the_last_that_is_known() {
        let mut arrived = Arrived::default();
        arrived.start(Some(Lsn(20).into()), 0);
        assert_eq!(arrived.outside(Lsn(10).into()), Ok(false));
        assert_eq!(arrived.outside(Lsn(20).into()), Ok(false));
        assert_eq!(arrived.outside(Lsn(30).into()), Ok(true));
    }

    #[test]
    fn a_transaction_goes_on_behind_what_was_confirmed_of_it() {
        let mut arrived = from(None);
        // Two messages of one, all confirmed, and five of the next, three of them.
        arrived.begin(commit(10), 0, 0).expect("new");
        arrived.commit(commit(10));
        arrived.begin(commit(20), 2, 1).expect("new");
        arrived.start(None, 5);
        arrived.begin(commit(20), 0, 0).expect("new");
        let left_out = (0..5).filter(|_| arrived.leaves_out()).count();
        assert_eq!(left_out, 3);
        // One more of it is confirmed, then the connection breaks before anything begins, twice.
        for first_unconfirmed in [1, 0, 0] {
            arrived.start(None, first_unconfirmed);
        }
        arrived.begin(commit(20), 0, 0).expect("new");
        let left_out = (0..5).filter(|_| arrived.leaves_out()).count();
        assert_eq!(left_out, 4);
        arrived.commit(commit(20));
        arrived.begin(commit(30), 1, 1).expect("new");
        assert!(!arrived.leaves_out());
    }

    #[test]
    fn another_transaction_at_that_place_is_sent_whole() {
        let mut arrived = from(None);
        arrived.begin(commit(10), 0, 0).expect("new");
        arrived.start(None, 3);
        arrived.begin(commit(11), 0, 0).expect("new");
        assert!(!arrived.leaves_out());
    }
}
