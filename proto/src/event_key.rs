use std::fmt::{self, Write};

use crate::Lsn;

/// Names one event for ever: the `message_id` of its message.
///
/// Text: system id (16 hexadecimal digits), `-`, end LSN (16), `-`, commit time (hexadecimal, two's
/// complement), `-`, index (decimal); at most 71 characters. A consumer may compare it as a whole
/// and should not take it apart.
///
/// The same event sent again has the same key, after a reconnect as after a failover: a standby has
/// the system id of its primary and replays the same commit records, which hold position and time.
/// No two events share one. Clusters differ in the system id, rows of a transaction in the index;
/// two timelines of a cluster can reach the same position with different transactions, and these
/// differ in the commit time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// Identifier of the cluster, as in `IDENTIFY_SYSTEM` and `pg_control_system()`.
    pub system_id: u64,
    /// End of the transaction's commit record.
    pub end_lsn: Lsn,
    /// When it committed, in microseconds since 2000-01-01 00:00 UTC.
    pub commit_time: i64,
    /// Position of the change in the transaction.
    pub index: u64,
}

impl EventKey {
    /// The part that all events of the transaction share.
    pub fn prefix(&self) -> EventKeyPrefix {
        EventKeyPrefix::new(self.system_id, self.end_lsn, self.commit_time)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_prefix(f, self.system_id, self.end_lsn, self.commit_time)?;
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
    pub fn new(system_id: u64, end_lsn: Lsn, commit_time: i64) -> Self {
        let mut prefix = Self::default();
        prefix.reset(system_id, end_lsn, commit_time);
        prefix
    }

    /// Goes on to another transaction in the same memory.
    pub fn reset(&mut self, system_id: u64, end_lsn: Lsn, commit_time: i64) {
        self.text.clear();
        // Writing to a String cannot fail.
        let _ = write_prefix(&mut self.text, system_id, end_lsn, commit_time);
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
    end_lsn: Lsn,
    commit_time: i64,
) -> fmt::Result {
    write!(out, "{system_id:016x}-{:016X}-{commit_time:x}-", end_lsn.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: EventKey = EventKey {
        system_id: 0x6A3F_0000_1234_5678,
        end_lsn: Lsn(0x16_00B3_74D8),
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
    fn prefix_and_index_make_the_same_text() {
        let mut prefix = EventKeyPrefix::new(0, Lsn::INVALID, i64::MIN);
        let mut key = String::new();
        prefix.write(u64::MAX, &mut key);
        assert_eq!(key.len(), 71);
        prefix.reset(KEY.system_id, KEY.end_lsn, KEY.commit_time);
        key.clear();
        prefix.write(41, &mut key);
        assert_eq!(key, KEY.to_string());
        assert_eq!(KEY.prefix(), prefix);
    }
}
