use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use super::Relation;

/// A [`Relation`] in the dictionary of a running session.
#[derive(Debug)]
pub struct RelationEntry {
    relation: Relation,
    routing_key: String,
    place: usize,
    stamp: u64,
}

impl RelationEntry {
    /// The entry at a place of its dictionary, from 0.
    pub fn new(relation: Relation, place: usize) -> Self {
        static NEXT_STAMP: AtomicU64 = AtomicU64::new(1);
        Self {
            routing_key: format!("{}.{}", relation.schema, relation.name),
            relation,
            place,
            stamp: NEXT_STAMP.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// `schema.table`, raw names: the routing key of its events and their `table_name`.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// Where it stands in its dictionary, which is as long as the most entries that it has had at a
    /// time. Whoever keeps something for each relation keeps it at this place, with the [`stamp`].
    ///
    /// [`stamp`]: Self::stamp
    pub fn place(&self) -> usize {
        self.place
    }

    /// A number above 0 that no other entry has, of whatever session of this process.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Moves it to another place.
    pub(crate) fn move_to(&mut self, place: usize) {
        self.place = place;
    }
}

impl Deref for RelationEntry {
    type Target = Relation;

    fn deref(&self) -> &Relation {
        &self.relation
    }
}
