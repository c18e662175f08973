//! The tables of wal2json's lines, and their rows as the relay's loop takes them: every value is
//! the JSON that wal2json has printed, which differs from the documented form for many types and
//! spares this side the conversion.

use std::collections::HashMap;

use anyhow::{Context, bail};
use bytes::Bytes;
use pgevents_proto::{Action, Cell, Change, Kind, Relation, RelationEntry, ReplicaIdentity, Row};

use super::line::{Column, Line};

/// The tables seen so far, and the rows of the last change.
#[derive(Debug, Default)]
pub struct Tables {
    entries: Vec<RelationEntry>,
    by_name: HashMap<(String, String), usize>,
    new: Vec<Cell>,
    old: Vec<Cell>,
    /// The line that the cells point into.
    text: Bytes,
}

impl Tables {
    /// The change of a line, which stands in `text`.
    ///
    /// # Errors
    ///
    /// The line is none of a change.
    pub fn change(
        &mut self,
        line: &Line<'_>,
        text: &Bytes,
        index: u64,
    ) -> anyhow::Result<Change<'_>> {
        let action = match line.action.as_ref() {
            "I" => Action::Insert,
            "U" => Action::Update,
            "D" => Action::Delete,
            other => bail!("unexpected action {other:?}"),
        };
        let at = self.entry(line)?;
        cells(&line.columns, text, &mut self.new);
        cells(&line.identity, text, &mut self.old);
        self.text = text.clone();
        let row = |cells| Row::new(cells, &self.text);
        let [new, old]: [Option<Row<'_>>; 2] = match action {
            Action::Delete => [None, Some(row(&self.old))],
            Action::Update => [Some(row(&self.new)), Some(row(&self.old))],
            _ => [Some(row(&self.new)), None],
        };
        Ok(Change {
            index,
            action,
            relation: &self.entries[at],
            new,
            old,
            // Its workloads have the whole old row.
            old_complete: action != Action::Insert,
        })
    }

    /// Where the table of a line stands; one whose columns have changed is another one.
    fn entry(&mut self, line: &Line<'_>) -> anyhow::Result<usize> {
        let schema = line.schema.as_deref().context("a change without schema")?;
        let table = line.table.as_deref().context("a change without table")?;
        let columns = match line.columns.is_empty() {
            true => &line.identity,
            false => &line.columns,
        };
        let name = (schema.to_owned(), table.to_owned());
        let known = self.by_name.get(&name).copied();
        if let Some(at) = known
            && has_columns(&self.entries[at], columns)
        {
            return Ok(at);
        }
        let at = self.entries.len();
        let column = |column: &Column<'_>| pgevents_proto::Column {
            name: column.name.clone().into_owned(),
            type_oid: 0,
            kind: Kind::Json,
            identity: false,
        };
        let relation = Relation {
            id: at as u32 + 1,
            oid: 0,
            schema: name.0.clone(),
            name: name.1.clone(),
            replica_identity: ReplicaIdentity::Full,
            columns: columns.iter().map(column).collect(),
            primary_key: Vec::new(),
        };
        self.entries.push(RelationEntry::new(relation, at));
        self.by_name.insert(name, at);
        Ok(at)
    }
}

fn has_columns(entry: &RelationEntry, columns: &[Column<'_>]) -> bool {
    let known = entry.columns.iter().map(|column| column.name.as_str());
    known.eq(columns.iter().map(|column| column.name.as_ref()))
}

/// The values of a row by their places in the line.
fn cells(columns: &[Column<'_>], text: &Bytes, cells: &mut Vec<Cell>) {
    cells.clear();
    cells.extend(columns.iter().map(|column| {
        let value = column.value.get();
        // The value is a part of the line.
        let start = (value.as_ptr() as usize - text.as_ptr() as usize) as u32;
        match value {
            "null" => Cell::Null,
            _ => Cell::Bytes {
                start,
                end: start + value.len() as u32,
            },
        }
    }));
}

#[cfg(test)]
mod tests {
    use pgevents_proto::EventJson;

    use super::*;

    fn check(line: &str, expected: &str) {
        let text = Bytes::from(line.to_owned());
        let line: Line<'_> = serde_json::from_slice(&text).expect("a line");
        let mut tables = Tables::default();
        let change = tables.change(&line, &text, 0).expect("a change");
        let mut out = Vec::new();
        EventJson::new().write(&change, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn lines_become_the_documented_event() {
        check(
            r#"{"action":"I","schema":"public","table":"users","columns":[{"name":"id","type":"integer","value":1},{"name":"full_name","type":"text","value":"Mikael"},{"name":"x","type":"text","value":null}]}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael","x":null},"id":1,"diff":{"id":1,"full_name":"Mikael"},"action":"I"}"#,
        );
        check(
            r#"{"action":"U","schema":"public","table":"users","columns":[{"name":"id","type":"integer","value":1},{"name":"n","type":"integer","value":3}],"identity":[{"name":"id","type":"integer","value":1},{"name":"n","type":"integer","value":2}]}"#,
            r#"{"table_name":"public.users","old":{"id":1,"n":2},"new":{"id":1,"n":3},"id":1,"diff":{"n":3},"action":"U"}"#,
        );
        check(
            r#"{"action":"D","schema":"public","table":"users","identity":[{"name":"id","type":"integer","value":1}]}"#,
            r#"{"table_name":"public.users","old":{"id":1},"new":{},"id":1,"diff":{},"action":"D"}"#,
        );
    }
}
