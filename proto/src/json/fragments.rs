use super::text::write_string;
use crate::Relation;

/// The parts of an event that are the same for every change of a relation.
#[derive(Debug)]
pub(crate) struct Fragments {
    /// `{"table_name":"public.users","old":`
    head: Vec<u8>,
    /// `"name":` of every column, one after the other.
    keys: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    id: Id,
}

/// What the event's `id` is made of; positions of columns.
#[derive(Debug)]
pub(super) enum Id {
    /// No column named `id` and no primary key.
    None,
    /// One column's value.
    Column(usize),
    /// An object of these columns.
    Columns(Vec<usize>),
}

impl Fragments {
    pub(crate) fn new(relation: &Relation, table_name: &str) -> Self {
        let mut head = b"{\"table_name\":".to_vec();
        write_string(table_name.as_bytes(), &mut head);
        head.extend_from_slice(b",\"old\":");
        let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(relation.columns.len()));
        for column in &relation.columns {
            write_string(column.name.as_bytes(), &mut keys);
            keys.push(b':');
            ends.push(keys.len());
        }
        keys.shrink_to_fit();
        Self {
            head,
            keys,
            ends,
            id: Id::of(relation),
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
