use super::{Lsn, RelationEntry, Row};

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

/// One change of one row, or the TRUNCATE of one table.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Position in the transaction, from 0, counting what filters kept back.
    pub index: u64,
    /// What happened; never [`Action::Message`].
    pub action: Action,
    /// The table.
    pub relation: &'a RelationEntry,
    /// The new row of INSERT and UPDATE. [`Value::Absent`](super::Value::Absent): an unchanged
    /// TOAST value that nothing in the WAL holds.
    pub new: Option<Row<'a>>,
    /// What the wire carries of the old row. UPDATE under FULL: the columns that differ, the others
    /// equal `new`. UPDATE under KEY: the key columns, `None` where they equal those of `new`.
    /// DELETE: the whole row (FULL) or the key columns.
    pub old: Option<Row<'a>>,
    /// Every column of the old row is known, from `old` alone (DELETE) or together with `new`.
    pub old_complete: bool,
}

/// A logical message, `pg_logical_emit_message()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Position in its transaction; `None`: it is outside any and counts from its `lsn` alone.
    pub index: Option<u64>,
    /// Prefix as given; with `pgevents:` the rest is the routing key.
    pub prefix: &'a str,
    /// Content as given, any bytes; a marker in its place where it was too large.
    pub content: &'a [u8],
    /// Position after the message in the WAL.
    pub lsn: Lsn,
}
