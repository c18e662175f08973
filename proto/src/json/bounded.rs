//! The size of an event before it is written, and events of a bounded size for a process that must
//! not fail for want of memory.

use super::{
    DIFF, EventJson, ID, NEW, NULL, action_end,
    number::is_json_number,
    old::OldRow,
    template::{Id, Template},
    value::write_value,
};
use crate::model::{Action, Cell, Change, Kind, OmittedReason, OutOfMemory, Row, Value};

/// Values below this size are never kept back; in bytes.
const SMALLEST_KEPT_BACK: usize = 1024;

impl EventJson {
    /// Size in bytes of the event that [`write`](Self::write) would append.
    pub fn length(&mut self, change: &Change<'_>) -> usize {
        let template = self.templates.of(change.relation);
        let (old, mut lengths) = (OldRow::of(change), Lengths::default());
        for column in 0..change.relation.columns.len() {
            lengths.add(template, change, old, column, &mut self.scratch);
        }
        let [old, new, diff, id] = [
            lengths.old.bytes(),
            lengths.new.bytes(),
            lengths.diff.bytes(),
            lengths.id(template.id()),
        ];
        let names = [NEW, ID, DIFF, action_end(change.action)];
        let names: usize = names.iter().map(|name| name.len()).sum();
        template.head().len() + old + new + id + diff + names
    }

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
        let room = self.length(change);
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
            let room = self.length(&kept);
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

/// What an object takes.
#[derive(Clone, Copy, Debug, Default)]
struct ObjectLength {
    columns: usize,
    content: usize,
}

impl ObjectLength {
    fn add(&mut self, key: &[u8], value: usize) {
        self.columns += 1;
        self.content += key.len() + value;
    }

    /// With braces and commas.
    fn bytes(self) -> usize {
        2 + self.content + self.columns.saturating_sub(1)
    }
}

/// What the parts of an event take.
#[derive(Debug, Default)]
struct Lengths {
    old: ObjectLength,
    new: ObjectLength,
    diff: ObjectLength,
    /// The columns of the `id` that the event has.
    id: ObjectLength,
    /// The value of the last of them.
    last: usize,
}

impl Lengths {
    fn add(
        &mut self,
        template: &Template,
        change: &Change<'_>,
        old: OldRow<'_>,
        column: usize,
        scratch: &mut Vec<u8>,
    ) {
        let (key, kind) = (template.key(column), change.relation.columns[column].kind);
        let mut length = |value: Value<'_>| match value {
            Value::Absent => None,
            value => Some(value_length(kind, value, scratch)),
        };
        let of_old = length(old.value(column));
        let of_new = match change.new {
            Some(_) if old.shares(column) => of_old,
            Some(row) => length(row.get(column)),
            None => None,
        };
        if let Some(value) = of_old {
            self.old.add(key, value);
        }
        if let (Some(value), Some(row)) = (of_new, change.new) {
            self.new.add(key, value);
            if old.differs(column, row) {
                self.diff.add(key, value);
            }
        }
        let identified = match change.action {
            Action::Delete => of_old,
            Action::Insert | Action::Update | Action::Truncate | Action::Message => of_new,
        };
        if let (Some(value), true) = (identified, is_of_id(template.id(), column)) {
            self.id.add(key, value);
            self.last = value;
        }
    }

    fn id(&self, id: &Id) -> usize {
        match id {
            Id::Column(_) if self.id.columns == 1 => self.last,
            Id::Columns(columns) if self.id.columns == columns.len() => self.id.bytes(),
            Id::None | Id::Column(_) | Id::Columns(_) => NULL.len(),
        }
    }
}

fn is_of_id(id: &Id, column: usize) -> bool {
    match id {
        Id::None => false,
        Id::Column(of) => *of == column,
        Id::Columns(columns) => columns.contains(&column),
    }
}

/// What a value takes; small ones are written to see.
fn value_length(kind: Kind, value: Value<'_>, scratch: &mut Vec<u8>) -> usize {
    match (kind, value) {
        (Kind::Bytea, Value::Bytes(bytes)) => 2 * bytes.len() + "\"\\\\x\"".len(),
        (Kind::Numeric, Value::Bytes(bytes)) if is_json_number(bytes) => bytes.len(),
        (Kind::Json, Value::Bytes([])) => NULL.len(),
        (Kind::Json, Value::Bytes(bytes)) => utf8_length(bytes),
        (Kind::Uuid, Value::Bytes(_)) | (_, Value::Absent | Value::Null) => {
            written(kind, value, scratch)
        }
        (_, Value::Bytes(bytes)) => string_length(bytes),
        (
            _,
            Value::Integer(_)
            | Value::Micros(_)
            | Value::Float4(_)
            | Value::Float8(_)
            | Value::Omitted { .. },
        ) => written(kind, value, scratch),
    }
}

fn written(kind: Kind, value: Value<'_>, scratch: &mut Vec<u8>) -> usize {
    scratch.clear();
    write_value(kind, value, scratch);
    scratch.len()
}

fn string_length(bytes: &[u8]) -> usize {
    let escapes: usize = bytes.iter().map(|&byte| escape_length(byte)).sum();
    2 + utf8_length(bytes) + escapes
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

/// What is no UTF-8 becomes the three bytes of U+FFFD.
fn utf8_length(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(_) => {
            let chunks = bytes.utf8_chunks();
            let replaced = |invalid: &[u8]| if invalid.is_empty() { 0 } else { 3 };
            chunks
                .map(|chunk| chunk.valid().len() + replaced(chunk.invalid()))
                .sum()
        }
    }
}
