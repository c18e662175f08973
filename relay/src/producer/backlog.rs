use std::collections::VecDeque;

use pgevents_proto::Lsn;

/// When the transactions that are not acknowledged committed, second by second: at most one entry
/// for each, however many transactions there are.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    seconds: VecDeque<Second>,
}

/// The transactions of one second.
#[derive(Debug)]
struct Second {
    /// Commit of the first, in microseconds since 1970-01-01 00:00 UTC.
    commit: i64,
    /// End of the last.
    end: Lsn,
}

impl Backlog {
    /// A transaction begins that committed at `commit` and ends at `end`.
    pub(super) fn begin(&mut self, end: Lsn, commit: i64) {
        match self.seconds.back_mut() {
            // Commit times can go back a little: clocks are set, and commits overtake each other.
            Some(last) if commit.div_euclid(1_000_000) <= last.commit.div_euclid(1_000_000) => {
                last.end = last.end.max(end);
            }
            Some(_) | None => self.seconds.push_back(Second { commit, end }),
        }
    }

    /// Commit of the oldest transaction past the acknowledged position, in microseconds since
    /// 1970-01-01 00:00 UTC, up to a second too early; `None`: there is none.
    pub(super) fn oldest(&mut self, acknowledged: Lsn) -> Option<i64> {
        while self.seconds.front()?.end <= acknowledged {
            self.seconds.pop_front();
        }
        self.seconds.front().map(|second| second.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_of_the_first_second_that_is_not_acknowledged() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.oldest(Lsn(0)), None);
        for (end, commit) in [
            (10, 1_900_000),
            (20, 1_950_000),
            (30, 2_000_000),
            (40, 1_999_999),
        ] {
            backlog.begin(Lsn(end), commit);
        }
        assert_eq!(backlog.seconds.len(), 2);
        assert_eq!(backlog.oldest(Lsn(0)), Some(1_900_000));
        assert_eq!(backlog.oldest(Lsn(19)), Some(1_900_000));
        assert_eq!(backlog.oldest(Lsn(20)), Some(2_000_000));
        assert_eq!(backlog.oldest(Lsn(39)), Some(2_000_000));
        assert_eq!(backlog.oldest(Lsn(40)), None);
    }
}
