use super::text::write_string;
use crate::model::{Relation, RelationEntry};

/// A template for each relation that an event was written of, at its place in the dictionary: made
/// with the first event, and again where another relation has come to stand there.
#[derive(Debug, Default)]
pub(super) struct Templates {
    at_places: Vec<Template>,
}

impl Templates {
    /// The template of a relation.
    #[inline]
    pub(super) fn of(&mut self, entry: &RelationEntry) -> &Template {
        let place = entry.place();
        let known = self.at_places.get(place).map(|template| template.stamp);
        if known != Some(entry.stamp()) {
            self.make(entry);
        }
        &self.at_places[place]
    }

    #[cold]
    fn make(&mut self, entry: &RelationEntry) {
        let place = entry.place();
        if place >= self.at_places.len() {
            self.at_places.resize_with(place + 1, Template::default);
        }
        self.at_places[place] = Template::new(entry);
    }
}

/// The parts of an event that are the same for every change of a relation.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// Of the entry that it was made for; 0: of none.
    stamp: u64,
    /// `{"table_name":"public.users","old":`
    head: Vec<u8>,
    /// `"name":` of every column, one after the other.
    keys: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    id: Id,
}

/// What the event's `id` is made of; positions of columns.
#[derive(Debug, Default)]
pub(super) enum Id {
    /// No column named `id` and no primary key.
    #[default]
    None,
    /// One column's value.
    Column(usize),
    /// An object of these columns.
    Columns(Vec<usize>),
}

impl Template {
    fn new(entry: &RelationEntry) -> Self {
        let mut head = b"{\"table_name\":".to_vec();
        write_string(entry.routing_key().as_bytes(), &mut head);
        head.extend_from_slice(b",\"old\":");
        let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(entry.columns.len()));
        for column in &entry.columns {
            write_string(column.name.as_bytes(), &mut keys);
            keys.push(b':');
            ends.push(keys.len());
        }
        keys.shrink_to_fit();
        Self {
            stamp: entry.stamp(),
            head,
            keys,
            ends,
            id: Id::of(entry),
        }
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    #[inline]
    pub(super) fn key(&self, column: usize) -> &[u8] {
        let start = if column == 0 {
            0
        } else {
            self.ends[column - 1]
        };
        &self.keys[start..self.ends[column]]
    }

    pub(super) fn id(&self) -> &Id {
        &self.id
    }
}

impl Id {
    fn of(relation: &Relation) -> Self {
        if let Some(column) = relation
            .columns
            .iter()
            .position(|column| column.name == "id")
        {
            return Self::Column(column);
        }
        match *relation.primary_key {
            [] => Self::None,
            [column] => Self::Column(column as usize),
            [..] => Self::Columns(relation.primary_key.iter().map(|&at| at as usize).collect()),
        }
    }
}
