/// The most columns that a relation on the wire may have: `MaxTupleAttributeNumber`, PostgreSQL
/// `src/include/access/htup_details.h`.
pub const MAX_COLUMNS: usize = 1664;

/// One definition of one table: an entry of a session's schema dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Number in the session's dictionary, from 1; a changed table gets a new one.
    pub id: u32,
    /// Object id of the table.
    pub oid: u32,
    /// Raw schema name, without SQL quoting.
    pub schema: String,
    /// Raw table name, without SQL quoting.
    pub name: String,
    /// What updates and deletes carry of the old row.
    pub replica_identity: ReplicaIdentity,
    /// Columns in order of attribute number; those that do not travel are left out.
    pub columns: Vec<Column>,
    /// Positions in `columns` of the primary key, in key order; empty without one.
    pub primary_key: Vec<u32>,
}

/// One column of a [`Relation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Raw name, without SQL quoting.
    pub name: String,
    /// Object id of the declared type.
    pub type_oid: u32,
    /// How values travel and what they mean.
    pub kind: Kind,
    /// Part of the replica identity key; never set unless that is [`ReplicaIdentity::Key`].
    pub identity: bool,
}

/// What an UPDATE or DELETE carries of the old row. The discriminants are those of the wire.
/// Source: PostgreSQL docs, "ALTER TABLE", REPLICA IDENTITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    /// NOTHING, or DEFAULT without a primary key: nothing.
    Nothing = 1,
    /// DEFAULT with a primary key, or USING INDEX: the columns marked `identity`.
    Key = 2,
    /// FULL: the whole old row.
    Full = 3,
}

impl ReplicaIdentity {
    /// The identity behind a number on the wire; `None` for unknown ones.
    pub fn from_wire(number: u64) -> Option<Self> {
        [Self::Nothing, Self::Key, Self::Full]
            .into_iter()
            .find(|kind| *kind as u64 == number)
    }
}

/// How the values of a column travel and how JSON shows them; `pgevents.proto` says it in full.
/// The discriminants are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 0 or 1 in `integers`.
    Bool = 1,
    /// smallint, integer or bigint in `integers`.
    Integer = 2,
    /// real in `float4`.
    Float4 = 3,
    /// double precision in `float8`.
    Float8 = 4,
    /// Decimal text in `bytes`.
    Numeric = 5,
    /// UTF-8 text in `bytes`.
    Text = 6,
    /// A JSON document in `bytes`.
    Json = 7,
    /// Raw bytes in `bytes`.
    Bytea = 8,
    /// 16 bytes in `bytes`.
    Uuid = 9,
    /// Days since 2000-01-01 in `integers`; the extremes of i32 are the infinities.
    Date = 10,
    /// Microseconds since midnight in `micros`.
    Time = 11,
    /// Microseconds since 2000-01-01 in `micros`; the extremes of i64 are the infinities.
    Timestamp = 12,
    /// The same in UTC.
    Timestamptz = 13,
}

impl Kind {
    /// Every kind, in the order of the wire's numbers.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::Integer,
        Self::Float4,
        Self::Float8,
        Self::Numeric,
        Self::Text,
        Self::Json,
        Self::Bytea,
        Self::Uuid,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::Timestamptz,
    ];

    /// The kind behind a number on the wire; `None` for unknown ones.
    pub fn from_wire(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }
}
