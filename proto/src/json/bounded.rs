//! An event for a process that must not fail for want of memory: its size is known before it is
//! written.

use super::{
    EventJson,
    old::OldRow,
    template::{Id, Template},
};
use crate::model::{Action, Cell, Change, Kind, OmittedReason, OutOfMemory, Relation, Row, Value};

/// Braces, commas, the names of the six keys and the action.
const FRAME_BYTES: usize = 80;

/// The most that a value without bytes of its own takes: a timestamp, a float, a marker.
const SMALL_BYTES: usize = 80;

/// Values below this size are never kept back; in bytes.
const SMALLEST_KEPT_BACK: usize = 1024;

impl EventJson {
    /// Appends the event of `change` to `out` as [`write`](Self::write) does. One that would be
    /// longer than `limit` bytes has markers in place of its largest values, as many as it takes,
    /// down to values of 1 KiB.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`] if `out` cannot grow; it is then as it was.
    pub fn write_within(
        &mut self,
        change: &Change<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        let room = room_for(self.templates.of(change.relation), change);
        if room <= limit {
            out.try_reserve(room).map_err(|_| OutOfMemory)?;
            self.write(change, out);
            return Ok(());
        }
        let mut old = copy(change.old)?;
        let mut new = copy(change.new)?;
        let mut threshold = limit;
        loop {
            threshold = (threshold / 2).max(SMALLEST_KEPT_BACK);
            for cell in old.iter_mut().chain(&mut new) {
                keep_back(cell, threshold);
            }
            let kept = Change {
                old: change.old.map(|row| row.with_cells(&old)),
                new: change.new.map(|row| row.with_cells(&new)),
                ..*change
            };
            let room = room_for(self.templates.of(kept.relation), &kept);
            if room <= limit || threshold == SMALLEST_KEPT_BACK {
                out.try_reserve(room).map_err(|_| OutOfMemory)?;
                self.write(&kept, out);
                return Ok(());
            }
        }
    }
}

fn copy(row: Option<Row<'_>>) -> Result<Vec<Cell>, OutOfMemory> {
    let mut copy = Vec::new();
    let cells = row.map_or(&[][..], |row| row.cells());
    copy.try_reserve(cells.len()).map_err(|_| OutOfMemory)?;
    copy.extend_from_slice(cells);
    Ok(copy)
}

fn keep_back(cell: &mut Cell, threshold: usize) {
    if let Cell::Bytes { start, end } = *cell
        && (end - start) as usize > threshold
    {
        *cell = Cell::Omitted {
            reason: OmittedReason::TooLarge,
            size: (end - start).into(),
        };
    }
}

/// Bytes that the event takes, or a few more.
fn room_for(template: &Template, change: &Change<'_>) -> usize {
    let relation = change.relation;
    let old = OldRow::of(change);
    let mut length = FRAME_BYTES + template.head().len();
    for column in 0..relation.columns.len() {
        let new = change.new.map_or(Value::Absent, |row| row.get(column));
        let differs = change.new.is_some_and(|row| old.differs(column, row));
        let [old_length, new_length] =
            [old.value(column), new].map(|value| column_length(template, relation, column, value));
        length += old_length + new_length;
        if new != Value::Absent && differs {
            length += new_length;
        }
        if is_of_id(template.id(), column) {
            length += if change.action == Action::Delete {
                old_length
            } else {
                new_length
            };
        }
    }
    length
}

fn is_of_id(id: &Id, column: usize) -> bool {
    match id {
        Id::None => false,
        Id::Column(of) => *of == column,
        Id::Columns(columns) => columns.contains(&column),
    }
}

fn column_length(
    template: &Template,
    relation: &Relation,
    column: usize,
    value: Value<'_>,
) -> usize {
    let comma = 1;
    let length = match value {
        Value::Absent => return 0,
        Value::Bytes(bytes) => bytes_length(relation.columns[column].kind, bytes),
        Value::Null
        | Value::Integer(_)
        | Value::Micros(_)
        | Value::Float4(_)
        | Value::Float8(_)
        | Value::Omitted { .. } => SMALL_BYTES,
    };
    comma + template.key(column).len() + length
}

fn bytes_length(kind: Kind, bytes: &[u8]) -> usize {
    let quotes = 2;
    match kind {
        Kind::Bytea | Kind::Uuid => 2 * bytes.len() + SMALL_BYTES,
        Kind::Json => SMALL_BYTES + utf8_length(bytes),
        _ => {
            quotes
                + utf8_length(bytes)
                + bytes.iter().map(|&byte| escape_length(byte)).sum::<usize>()
        }
    }
}

/// What a byte takes in a JSON string besides itself.
#[inline]
fn escape_length(byte: u8) -> usize {
    match byte {
        0x08 | 0x0C | b'\n' | b'\r' | b'\t' | b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    }
}

/// Each byte that is no UTF-8 becomes the three of U+FFFD at the most.
fn utf8_length(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(_) => {
            let chunks = bytes.utf8_chunks();
            chunks.map(|chunk| chunk.valid().len() + 3).sum()
        }
    }
}
