use crate::model::{Action, Change, Relation, ReplicaIdentity, Row, Value};

/// The old row of a change, put together from what the wire carries of it and from the new row.
#[derive(Clone, Copy)]
pub(super) struct OldRow<'a> {
    relation: &'a Relation,
    carried: Option<Row<'a>>,
    /// The new row, where it may stand in for the old one.
    new: Option<Row<'a>>,
    /// It does so for the columns of the replica identity only.
    identity_only: bool,
}

impl<'a> OldRow<'a> {
    pub(super) fn of(change: &Change<'a>) -> Self {
        let relation: &'a Relation = change.relation;
        let (new, identity_only) = match (change.action, relation.replica_identity) {
            (Action::Update, ReplicaIdentity::Full) if change.old_complete => (change.new, false),
            // The server logs the old key only when it changed.
            (Action::Update, ReplicaIdentity::Key) => (change.new, true),
            (Action::Update, ReplicaIdentity::Full | ReplicaIdentity::Nothing) => (None, false),
            (Action::Insert | Action::Delete | Action::Truncate | Action::Message, _) => {
                (None, false)
            }
        };
        Self {
            relation,
            carried: change.old,
            new,
            identity_only,
        }
    }

    /// Nothing is known of it.
    pub(super) fn is_empty(&self) -> bool {
        self.carried.is_none() && self.new.is_none()
    }

    /// The old value of a column; absent where it is not known.
    #[inline]
    pub(super) fn value(&self, column: usize) -> Value<'a> {
        match (self.carried(column), self.new) {
            (Value::Absent, Some(new)) if self.fills(column) => new.get(column),
            (value, _) => value,
        }
    }

    /// Whether the column is known to be the same in the new row without looking at it.
    #[inline]
    pub(super) fn shares(&self, column: usize) -> bool {
        self.new.is_some() && self.fills(column) && self.carried(column) == Value::Absent
    }

    /// Whether the new value of a column, one of `row`, belongs in `diff`.
    #[inline]
    pub(super) fn differs(&self, column: usize, row: Row<'_>) -> bool {
        match self.carried(column) {
            Value::Absent if self.shares(column) => false,
            Value::Absent => !row.is_null(column),
            old => !same(old, row.get(column)),
        }
    }

    #[inline]
    fn carried(&self, column: usize) -> Value<'a> {
        self.carried.map_or(Value::Absent, |row| row.get(column))
    }

    #[inline]
    fn fills(&self, column: usize) -> bool {
        !self.identity_only || self.relation.columns[column].identity
    }
}

/// Whether two values print the same. What was kept back cannot be compared: it counts as changed,
/// since the plugin sent it as such.
fn same(old: Value<'_>, new: Value<'_>) -> bool {
    match (old, new) {
        (Value::Omitted { .. }, _) | (_, Value::Omitted { .. }) => false,
        (Value::Float4(old), Value::Float4(new)) => old.to_bits() == new.to_bits(),
        (Value::Float8(old), Value::Float8(new)) => old.to_bits() == new.to_bits(),
        (old, new) => old == new,
    }
}
