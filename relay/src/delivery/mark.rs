use pgevents_proto::Lsn;

/// Number of a chunk of existing rows, from 1, in the order in which chunks are read; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk(pub u64);

/// A place up to which a source can be told that everything has arrived. Every chunk of the first
/// rows lies before every position of the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The end of a chunk of existing rows.
    Copied(Chunk),
    /// A position in the WAL.
    Wal(Lsn),
}

/// Everything up to here has arrived. Chunks may be read while the WAL streams, so each of the two
/// goes on by itself, and neither goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The last chunk of existing rows.
    pub copied: Chunk,
    /// The position in the WAL; 0/0: none yet in this session.
    pub wal: Lsn,
}

impl Acknowledged {
    /// Goes on to `mark`, unless it lies behind.
    pub fn reach(&mut self, mark: Mark) {
        match mark {
            Mark::Copied(chunk) => self.copied = self.copied.max(chunk),
            Mark::Wal(lsn) => self.wal = self.wal.max(lsn),
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
        }
    }
}

impl From<Lsn> for Acknowledged {
    /// The WAL up to `wal`, and no chunk.
    fn from(wal: Lsn) -> Self {
        let copied = Chunk(0);
        Self { copied, wal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_lies_before_every_position() {
        assert!(Mark::Copied(Chunk(u64::MAX)) < Mark::Wal(Lsn(0)));
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
        let (copied, wal) = (Chunk(2), Lsn(9));
        assert_eq!(acknowledged, Acknowledged { copied, wal });
    }
}
