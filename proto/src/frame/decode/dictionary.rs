use std::collections::HashMap;

use crate::{
    frame::{
        DecodeError,
        wire::{LEN, Reader, Tag, VARINT},
    },
    model::{Column, Kind, MAX_COLUMNS, Relation, RelationEntry, ReplicaIdentity},
};

/// The session's relations by id. A new entry of a table takes the place of the table's former one,
/// which no later change can use, and the plugin says which others it has forgotten: what is here
/// grows neither with changes of tables nor with tables that come and go.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    entries: Vec<RelationEntry>,
    by_id: HashMap<u32, usize>,
    by_oid: HashMap<u32, usize>,
    /// Where the last change's relation stands; the next one is likely the same.
    recent: usize,
    last_id: u32,
}

impl Dictionary {
    pub(crate) fn get(&mut self, id: u32) -> Result<&RelationEntry, DecodeError> {
        if self
            .entries
            .get(self.recent)
            .is_none_or(|entry| entry.id != id)
        {
            self.recent = *self
                .by_id
                .get(&id)
                .ok_or(DecodeError::RelationUnknown(id))?;
        }
        Ok(&self.entries[self.recent])
    }

    pub(crate) fn insert(&mut self, bytes: &[u8]) -> Result<&RelationEntry, DecodeError> {
        let (relation, forgotten) = read_relation(bytes)?;
        let (id, oid) = (relation.id, relation.oid);
        if id <= self.last_id {
            return Err(DecodeError::RelationId(id));
        }
        self.last_id = id;
        for id in forgotten {
            self.forget(id);
        }
        let at = match self.by_oid.get(&oid) {
            Some(&at) => {
                self.by_id.remove(&self.entries[at].id);
                self.entries[at] = RelationEntry::new(relation, at);
                at
            }
            None => {
                let at = self.entries.len();
                self.entries.push(RelationEntry::new(relation, at));
                at
            }
        };
        self.by_oid.insert(oid, at);
        self.by_id.insert(id, at);
        Ok(&self.entries[at])
    }

    /// Frees an entry. One that has made room for a new definition of its table is not here any
    /// more.
    fn forget(&mut self, id: u32) {
        let Some(at) = self.by_id.remove(&id) else {
            return;
        };
        let forgotten = self.entries.swap_remove(at);
        self.by_oid.remove(&forgotten.oid);
        if let Some(moved) = self.entries.get_mut(at) {
            moved.move_to(at);
            self.by_id.insert(moved.id, at);
            self.by_oid.insert(moved.oid, at);
        }
    }
}

/// A relation, and the ids that it says are forgotten.
fn read_relation(bytes: &[u8]) -> Result<(Relation, Vec<u32>), DecodeError> {
    let mut reader = Reader::new(bytes);
    let (mut id, mut oid, mut identity) = (0, 0, 0);
    let (mut schema, mut name) = ("", "");
    let (mut columns, mut primary_key, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => id = reader.typed(tag, VARINT)?.varint32()?,
            2 => oid = reader.typed(tag, VARINT)?.varint32()?,
            3 => schema = reader.typed(tag, LEN)?.text("schema name")?,
            4 => name = reader.typed(tag, LEN)?.text("table name")?,
            5 => identity = reader.typed(tag, VARINT)?.varint()?,
            6 if columns.len() == MAX_COLUMNS => {
                return Err(DecodeError::Relation {
                    id,
                    reason: "too many columns",
                });
            }
            6 => {
                columns.push(read_column(reader.typed(tag, LEN)?.bytes()?)?);
            }
            7 => read_numbers(&mut reader, tag, &mut primary_key)?,
            8 => read_numbers(&mut reader, tag, &mut forgotten)?,
            _ => reader.skip(tag)?,
        }
    }
    let replica_identity = ReplicaIdentity::from_wire(identity).ok_or(DecodeError::Enum {
        what: "replica identity",
        number: identity,
    })?;
    check_names(id, schema, name, &columns)?;
    check_primary_key(id, &primary_key, columns.len())?;
    let (schema, name) = (schema.to_owned(), name.to_owned());
    let relation = Relation {
        id,
        oid,
        schema,
        name,
        replica_identity,
        columns,
        primary_key,
    };
    Ok((relation, forgotten))
}

/// Adds numbers to a list. They are packed by default in proto3; a reader has to take both forms.
fn read_numbers(
    reader: &mut Reader<'_>,
    tag: Tag,
    numbers: &mut Vec<u32>,
) -> Result<(), DecodeError> {
    if tag.wire_type == VARINT {
        numbers.push(reader.varint32()?);
        return Ok(());
    }
    let mut packed = Reader::new(reader.typed(tag, LEN)?.bytes()?);
    while !packed.is_empty() {
        numbers.push(packed.varint32()?);
    }
    Ok(())
}

fn read_column(bytes: &[u8]) -> Result<Column, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (mut name, mut type_oid, mut kind, mut identity) = ("", 0, 0, false);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => name = reader.typed(tag, LEN)?.text("column name")?,
            2 => type_oid = reader.typed(tag, VARINT)?.varint32()?,
            3 => kind = reader.typed(tag, VARINT)?.varint()?,
            4 => identity = reader.typed(tag, VARINT)?.varint()? != 0,
            _ => reader.skip(tag)?,
        }
    }
    let kind = Kind::from_wire(kind).ok_or(DecodeError::Enum {
        what: "kind",
        number: kind,
    })?;
    Ok(Column {
        name: name.to_owned(),
        type_oid,
        kind,
        identity,
    })
}

/// PostgreSQL has no empty identifiers. To refuse them also keeps the memory of an entry near the
/// size of its bytes.
fn check_names(id: u32, schema: &str, name: &str, columns: &[Column]) -> Result<(), DecodeError> {
    if schema.is_empty() || name.is_empty() || columns.iter().any(|c| c.name.is_empty()) {
        return Err(DecodeError::Relation {
            id,
            reason: "a name is empty",
        });
    }
    Ok(())
}

fn check_primary_key(id: u32, key: &[u32], columns: usize) -> Result<(), DecodeError> {
    let mut seen = [false; MAX_COLUMNS];
    for &position in key {
        let position = position as usize;
        if position >= columns || seen[position] {
            return Err(DecodeError::Relation {
                id,
                reason: "primary key without its columns",
            });
        }
        seen[position] = true;
    }
    Ok(())
}
