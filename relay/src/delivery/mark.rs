use pgevents_proto::Lsn;

/// Number of a chunk of existing rows, from 1, in the order in which chunks are read; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk(pub u64);

/// The end of a transaction, or of a logical message outside of any, told from whatever may stand
/// there in another history of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    /// The position after its last record; 0/0: none is known.
    pub end: Lsn,
    /// When it committed, in microseconds since 2000-01-01 00:00 UTC; 0 for a message.
    pub time: i64,
    /// Its transaction id; 0 for a message.
    pub xid: u32,
}

impl From<Lsn> for Commit {
    /// A message outside of any transaction.
    fn from(end: Lsn) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }
}

/// A place up to which a source can be told that everything has arrived. In this order every chunk
/// of existing rows, which no source gives yet, lies before every position of the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The end of a chunk of existing rows.
    Copied(Chunk),
    /// A position in the WAL.
    Wal(Lsn),
    /// The end of something that has arrived.
    Commit(Commit),
}

/// Everything up to here has arrived. Chunks may be read while the WAL streams, so each of the two
/// goes on by itself, and neither goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The last chunk of existing rows.
    pub copied: Chunk,
    /// The position in the WAL; 0/0: none yet in this session.
    pub wal: Lsn,
    /// The last transaction or message before it of which something was sent.
    pub commit: Commit,
}

impl Acknowledged {
    /// Goes on to `mark`, unless it lies behind.
    pub fn reach(&mut self, mark: Mark) {
        match mark {
            Mark::Copied(chunk) => self.copied = self.copied.max(chunk),
            Mark::Wal(lsn) => self.wal = self.wal.max(lsn),
            Mark::Commit(commit) => {
                self.wal = self.wal.max(commit.end);
                self.commit = further(self.commit, commit);
            }
        }
    }

    /// Whether it is further than `other`, in chunks or in WAL.
    pub fn is_beyond(self, other: Self) -> bool {
        self.copied > other.copied || self.wal > other.wal
    }

    /// The further one of both, chunks and WAL each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            copied: self.copied.max(other.copied),
            wal: self.wal.max(other.wal),
            commit: further(self.commit, other.commit),
        }
    }
}

fn further(one: Commit, other: Commit) -> Commit {
    match other.end > one.end {
        true => other,
        false => one,
    }
}

impl From<Lsn> for Acknowledged {
    /// The WAL up to `wal`, and no chunk.
    fn from(wal: Lsn) -> Self {
        Self {
            wal,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_lies_before_every_position() {
        assert!(Mark::Copied(Chunk(u64::MAX)) < Mark::Wal(Lsn(0)));
        assert!(Mark::Copied(Chunk(u64::MAX)) < Mark::Commit(Commit::default()));
    }

    #[test]
    fn chunks_and_wal_go_on_by_themselves() {
        let mut acknowledged = Acknowledged::default();
        for mark in [
            Mark::Wal(Lsn(9)),
            Mark::Copied(Chunk(2)),
            Mark::Copied(Chunk(1)),
            Mark::Wal(Lsn(8)),
        ] {
            acknowledged.reach(mark);
        }
        let (copied, commit) = (Chunk(2), Commit::default());
        let wal = Lsn(9);
        assert_eq!(
            acknowledged,
            Acknowledged {
                copied,
                wal,
                commit
            }
        );
    }
}
