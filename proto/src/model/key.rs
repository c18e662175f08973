use std::fmt::{self, Write};

use super::Lsn;

/// Names one event for ever: the `message_id` of its message.
///
/// Text: system id (16 hexadecimal digits), `-`, commit LSN (16), `-`, commit time (hexadecimal,
/// two's complement), `-`, index (decimal); at most 71 characters. A consumer may compare it as a
/// whole and should not take it apart.
///
/// The same event sent again has the same key, after a reconnect as after a failover: a standby has
/// the system id of its primary and replays the same commit records, which hold position and time.
/// No two events share one. Clusters differ in the system id, rows of a transaction in the index;
/// two timelines of a cluster can reach the same position with different transactions, and these
/// differ in the commit time.
///
/// Keys of one cluster are ordered as its events are: by the commit LSN, and within a transaction
/// by the index. (Between two timelines at the same position, the commit time decides.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Identifier of the cluster, as in `IDENTIFY_SYSTEM` and `pg_control_system()`.
    pub system_id: u64,
    /// Position of the transaction's commit record, its start.
    pub commit_lsn: Lsn,
    /// When it committed, in microseconds since 2000-01-01 00:00 UTC.
    pub commit_time: i64,
    /// Position of the change in the transaction.
    pub index: u64,
}

impl EventKey {
    /// The key of a message outside of any transaction: its own position; index 0; and, as there is
    /// no commit, 1 less the timeline that it was written on in place of the time.
    pub fn outside(system_id: u64, lsn: Lsn, timeline: u32) -> Self {
        Self {
            system_id,
            commit_lsn: lsn,
            commit_time: 1 - i64::from(timeline),
            index: 0,
        }
    }

    /// The part that all events of the transaction share.
    pub fn prefix(&self) -> EventKeyPrefix {
        EventKeyPrefix::new(self.system_id, self.commit_lsn, self.commit_time)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(f, self.system_id, self.commit_lsn, self.commit_time)?;
        write!(f, "{}", self.index)
    }
}

/// The keys of one transaction's events, all but the index: written once, then copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventKeyPrefix {
    text: String,
}

impl EventKeyPrefix {
    /// The prefix of a transaction's keys; arguments as in [`EventKey`].
    pub fn new(system_id: u64, commit_lsn: Lsn, commit_time: i64) -> Self {
        let mut prefix = Self::default();
        prefix.reset(system_id, commit_lsn, commit_time);
        prefix
    }

    /// Goes on to another transaction in the same memory.
    pub fn reset(&mut self, system_id: u64, commit_lsn: Lsn, commit_time: i64) {
        self.text.clear();
        // Writing to a String cannot fail.
        let _ = write_prefix(&mut self.text, system_id, commit_lsn, commit_time);
    }

    /// Appends the key of the event with this index to `out`.
    pub fn write(&self, index: u64, out: &mut String) {
        out.push_str(&self.text);
        out.push_str(itoa::Buffer::new().format(index));
    }
}

fn write_prefix(
    out: &mut impl Write,
    system_id: u64,
    commit_lsn: Lsn,
    commit_time: i64,
) -> fmt::Result {
    write!(
        out,
        "{system_id:016x}-{:016X}-{commit_time:x}-",
        commit_lsn.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: EventKey = EventKey {
        system_id: 0x6A3F_0000_1234_5678,
        commit_lsn: Lsn(0x16_00B3_74D8),
        commit_time: 848_692_800_000_000,
        index: 41,
    };

    #[test]
    fn text_form_is_stable() {
        assert_eq!(
            KEY.to_string(),
            "6a3f000012345678-0000001600B374D8-303e1b0de1000-41"
        );
    }

    #[test]
    fn keys_are_ordered_as_their_events() {
        let later = |commit_lsn, index| EventKey {
            commit_lsn: Lsn(commit_lsn),
            index,
            ..KEY
        };
        let ordered = [
            later(1, 0),
            later(1, 1),
            later(1, 10),
            later(2, 0),
            later(11, 0),
        ];
        assert!(ordered.is_sorted() && !ordered.iter().rev().is_sorted());
    }

    #[test]
    fn a_message_outside_of_transactions_is_named_by_its_position_and_timeline() {
        let key = |timeline| EventKey::outside(7, Lsn(0x10), timeline).to_string();
        assert_eq!(key(1), "0000000000000007-0000000000000010-0-0");
        assert_eq!(
            key(2),
            "0000000000000007-0000000000000010-ffffffffffffffff-0"
        );
    }

    #[test]
    fn prefix_and_index_make_the_same_text() {
        let mut prefix = EventKeyPrefix::new(0, Lsn::INVALID, i64::MIN);
        let mut key = String::new();
        prefix.write(u64::MAX, &mut key);
        assert_eq!(key.len(), 71);
        prefix.reset(KEY.system_id, KEY.commit_lsn, KEY.commit_time);
        key.clear();
        prefix.write(41, &mut key);
        assert_eq!(key, KEY.to_string());
        assert_eq!(KEY.prefix(), prefix);
    }
}
