use crate::{
    frame::PROTOCOL_VERSION,
    model::{Action, Kind, Lsn},
};

/// Why a frame cannot be read. The same bytes would fail again after a reconnect, so every variant
/// means: stop, do not acknowledge, and say which frame. Versions that do not match
/// ([`Version`](Self::Version)) are for an operator to mend, all others are bugs or damage.
///
/// No variant holds a value of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A length or a fixed-width value reaches beyond the end of its message.
    #[error("read field: the message ends inside it")]
    Truncated,
    /// A varint has more than ten bytes, or more bits than its field.
    #[error("read varint: too long for its field")]
    Varint,
    /// Field number 0 or beyond 2^29, or a wire type that the contract never uses.
    #[error("read tag: {0:#x} is none")]
    Tag(u64),
    /// A known field came with another wire type than the contract gives it.
    #[error("read field {field}: wire type {wire_type} does not belong to it")]
    WireType {
        /// Field number in its message.
        field: u32,
        /// Wire type that was found.
        wire_type: u8,
    },
    /// A string is not UTF-8.
    #[error("read {0}: not UTF-8")]
    Utf8(&'static str),
    /// The plugin speaks another protocol version: install the plugin and the relay of one release.
    #[error("protocol version {0} is not known, this reader knows {PROTOCOL_VERSION}")]
    Version(u32),
    /// The first frame of the session does not start with a hello.
    #[error("read first frame: no hello")]
    HelloMissing,
    /// A second hello: two sessions were read with one decoder.
    #[error("read hello: the session has had one")]
    HelloRepeated,
    /// An enum field holds a number that this protocol version does not define.
    #[error("read {what}: {number} is not defined")]
    Enum {
        /// Name of the enum.
        what: &'static str,
        /// Number that was found.
        number: u64,
    },
    /// A dictionary entry's id is 0, or not larger than those before it.
    #[error("read relation: id {0} is zero or taken")]
    RelationId(u32),
    /// A dictionary entry is impossible in PostgreSQL: no name, more than 1,664 columns, or a
    /// primary key of columns that are not there.
    #[error("read relation {id}: {reason}")]
    Relation {
        /// Its id.
        id: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A change names a relation that is not in the dictionary, or not any more.
    #[error("read change: relation {0} is not in the dictionary")]
    RelationUnknown(u32),
    /// A change or a commit stands outside a transaction.
    #[error("read {0}: no transaction is open")]
    NotInTransaction(&'static str),
    /// A transaction begins inside another one.
    #[error("read begin: the transaction that ends at {0} is still open")]
    BeginNested(Lsn),
    /// The commit is not that of the open transaction.
    #[error("read commit: it ends at {commit}, its begin said {begin}")]
    CommitMismatch {
        /// Position in the begin.
        begin: Lsn,
        /// Position in the commit.
        commit: Lsn,
    },
    /// The index of a change does not fit 64 bits.
    #[error("read change: index overflow")]
    IndexOverflow,
    /// A change lacks a row or message that its action needs, has one that it cannot have, or has
    /// one twice.
    #[error("read change: rows do not fit action {0:?}")]
    Shape(Action),
    /// A bitmap does not have one bit for each column, or stands behind values.
    #[error("read row of relation {relation}: bitmap does not fit {columns} columns")]
    Bitmap {
        /// Dictionary id.
        relation: u32,
        /// Columns of the relation.
        columns: usize,
    },
    /// A value stands in a field that does not belong to its column's kind.
    #[error("read row of relation {relation}: column {column} of kind {kind:?} in field {field}")]
    ValueKind {
        /// Dictionary id.
        relation: u32,
        /// Position of the column.
        column: usize,
        /// Kind of the column.
        kind: Kind,
        /// Field number in the row.
        field: u32,
    },
    /// A uuid does not have 16 bytes.
    #[error("read row of relation {relation}: uuid in column {column} of {len} bytes")]
    UuidLength {
        /// Dictionary id.
        relation: u32,
        /// Position of the column.
        column: usize,
        /// Bytes that were found.
        len: usize,
    },
    /// A row has more values than columns that carry one.
    #[error("read row of relation {0}: too many values")]
    ValuesLeft(u32),
    /// A row has fewer values than columns that carry one.
    #[error("read row of relation {0}: too few values")]
    ValuesMissing(u32),
    /// The mark of a value that was kept back names a column that has none, or one twice.
    #[error("read row of relation {relation}: mark for column {column} does not fit")]
    Omitted {
        /// Dictionary id.
        relation: u32,
        /// Position that the mark names.
        column: u32,
    },
}
