use super::Lsn;

/// 2000-01-01 00:00 UTC, the PostgreSQL epoch, in microseconds since 1970-01-01 00:00 UTC.
/// Source: PostgreSQL `src/include/datatype/timestamp.h`, `POSTGRES_EPOCH_JDATE`.
pub const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

/// Opens a transaction that has at least one wanted change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// Position of the commit record, its start: it orders transactions and names their events.
    /// What pgoutput calls `final_lsn`.
    pub commit_lsn: Lsn,
    /// Position after the commit record; acknowledging it acknowledges the whole transaction.
    pub end_lsn: Lsn,
    /// When it committed, in microseconds since 2000-01-01 00:00 UTC.
    pub commit_time: i64,
    /// Id of the top-level transaction.
    pub xid: u32,
}

/// Closes a transaction: everything in it has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The same position as in [`Begin`].
    pub end_lsn: Lsn,
    /// Rows that options kept back since the session started.
    pub filtered_rows: u64,
    /// Updates that changed nothing and were kept back by `skip-noop` since the session started.
    pub noop_rows: u64,
}
