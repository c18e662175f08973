use crate::Lsn;

/// 2000-01-01 00:00 UTC, the PostgreSQL epoch, in microseconds since 1970-01-01 00:00 UTC.
/// Source: PostgreSQL `src/include/datatype/timestamp.h`, `POSTGRES_EPOCH_JDATE`.
pub const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

/// Opens a transaction that has at least one wanted change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
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

/// What happened to a row. The discriminants are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A row was inserted.
    Insert = 1,
    /// A row was updated.
    Update = 2,
    /// A row was deleted.
    Delete = 3,
    /// A table was emptied by TRUNCATE.
    Truncate = 4,
    /// A logical message inside a transaction.
    Message = 5,
}

impl Action {
    /// The action behind a number on the wire; `None` for numbers that this version does not know.
    pub fn from_wire(number: u64) -> Option<Self> {
        [
            Self::Insert,
            Self::Update,
            Self::Delete,
            Self::Truncate,
            Self::Message,
        ]
        .into_iter()
        .find(|action| *action as u64 == number)
    }
}

/// Why the plugin kept a value back. The discriminants are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OmittedReason {
    /// Larger than `max-value-bytes`, or the row would pass the frame limit with it.
    TooLarge = 1,
    /// The output function of its type failed.
    Unreadable = 2,
}

impl OmittedReason {
    /// The reason behind a number on the wire; `None` for numbers that this version does not know.
    pub fn from_wire(number: u64) -> Option<Self> {
        [Self::TooLarge, Self::Unreadable]
            .into_iter()
            .find(|reason| *reason as u64 == number)
    }
}
