//! One row change: which columns travel, which differ, and the change message.

use pgevents_proto::{
    Action, MAX_COLUMNS, OmittedReason, OutOfMemory, ReplicaIdentity, RowBitmaps,
};

use crate::{
    column::Column,
    dictionary::Entry,
    ffi::{DeformedRow, Encoding, RowAction, RowChange, Table},
    frame::Frame,
    options::MAX_ROW_BYTES,
    value::{self, Room, ValueError},
};

/// Most bytes that both rows of a change take in a frame. With what stands before them the frame
/// stays below the 1 GiB that one message of PostgreSQL's protocol may have.
const MAX_CHANGE_BYTES: usize = 960 * 1024 * 1024;

/// Bytes of a bitmap that holds any row.
const BITMAP_BYTES: usize = MAX_COLUMNS.div_ceil(8);

/// Takes changes apart and writes them; its buffers serve one row after another.
pub struct ChangeWriter {
    new: DeformedRow,
    old: DeformedRow,
    bitmaps: Bitmaps,
    encoding: Encoding,
    max_value_bytes: usize,
}

/// A change with what is to be done about it.
pub struct RowImage<'a> {
    /// The table, open.
    pub table: Table<'a>,
    /// The tuples.
    pub change: RowChange<'a>,
    /// What happened.
    pub action: RowAction,
    /// Whether an update that changes nothing is kept back.
    pub skip_noop: bool,
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the frame.
    Sent,
    /// An update that changed nothing, kept back by `skip-noop`.
    Noop,
    /// The WAL has neither an old nor a new row; nothing can be said.
    Empty,
}

struct Bitmaps {
    columns: [u8; BITMAP_BYTES],
    nulls: [u8; BITMAP_BYTES],
    omitted: Vec<Omitted>,
    /// Values that turned out to be none that travel while the row was written.
    failed: Vec<Omitted>,
}

/// Position of a column, why its value does not travel, and the size of it.
type Omitted = (usize, OmittedReason, u64);

/// Which columns of a row are candidates.
#[derive(Clone, Copy)]
enum Carried<'a> {
    All,
    These(&'a [u8]),
}

impl ChangeWriter {
    /// For a database of this encoding.
    pub fn new(encoding: Encoding, max_value_bytes: usize) -> Self {
        Self {
            new: DeformedRow::default(),
            old: DeformedRow::default(),
            bitmaps: Bitmaps {
                columns: [0; BITMAP_BYTES],
                nulls: [0; BITMAP_BYTES],
                omitted: Vec::new(),
                failed: Vec::new(),
            },
            encoding,
            max_value_bytes,
        }
    }

    /// That of the database.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Writes one change of a wanted table. `skipped` is asked only when the change is sent.
    #[inline]
    pub fn write(
        &mut self,
        entry: &mut Entry,
        image: RowImage<'_>,
        skipped: impl FnOnce() -> u64,
        frame: &mut Frame,
    ) -> Result<Written, OutOfMemory> {
        let RowImage {
            table,
            change,
            action,
            skip_noop,
        } = image;
        match action {
            RowAction::Insert => {
                let Some(new) = change.new_tuple() else {
                    return Ok(Written::Empty);
                };
                new.deform(table, &mut self.new);
                let open = frame.open_change(skipped(), Action::Insert, entry.relation.id)?;
                self.write_new(entry, new.has_external(), new.len(), frame)?;
                frame.finish_change(open)?;
            }
            RowAction::Update => {
                let Some(new) = change.new_tuple() else {
                    return Ok(Written::Empty);
                };
                new.deform(table, &mut self.new);
                let old = change.old_tuple();
                let full = entry.relation.replica_identity == ReplicaIdentity::Full;
                if let Some(old) = old {
                    old.deform(table, &mut self.old);
                }
                let mut changed = [0; BITMAP_BYTES];
                let differs = !full || old.is_none() || self.compare(entry, &mut changed);
                if !differs && skip_noop {
                    return Ok(Written::Noop);
                }
                if !full && old.is_some() && new.has_external() {
                    self.fill_key(entry);
                }
                let start = frame.len();
                let open = frame.open_change(skipped(), Action::Update, entry.relation.id)?;
                let external = new.has_external() || old.is_some_and(|old| old.has_external());
                self.write_new(entry, external, new.len(), frame)?;
                if let Some(old) = old {
                    let carried = if full {
                        &changed[..]
                    } else {
                        &entry.identity[..]
                    };
                    let length = carried.len().min(entry.columns.len().div_ceil(8));
                    let columns = Carried::These(&carried[..length]);
                    let width = old.len();
                    let end = start + MAX_CHANGE_BYTES;
                    self.write_old(&mut entry.columns, columns, width, end, frame)?;
                    if full {
                        frame.old_complete()?;
                    }
                }
                frame.finish_change(open)?;
            }
            RowAction::Delete => {
                let full = entry.relation.replica_identity == ReplicaIdentity::Full;
                let open = frame.open_change(skipped(), Action::Delete, entry.relation.id)?;
                if let Some(old) = change.old_tuple() {
                    old.deform(table, &mut self.old);
                    let columns = if full {
                        Carried::All
                    } else {
                        Carried::These(&entry.identity)
                    };
                    let end = frame.len() + MAX_ROW_BYTES;
                    self.write_old(&mut entry.columns, columns, old.len(), end, frame)?;
                    if full {
                        frame.old_complete()?;
                    }
                }
                frame.finish_change(open)?;
            }
        }
        Ok(Written::Sent)
    }

    /// Finds the columns in which the rows differ. An unchanged TOAST value, of which the new row
    /// has only the pointer, is taken over from the old row, where it stands in full.
    fn compare(&mut self, entry: &Entry, changed: &mut [u8; BITMAP_BYTES]) -> bool {
        let mut differs = false;
        for (position, column) in entry.columns.iter().enumerate() {
            let at = column.attribute;
            let same = match (self.new.nulls[at], self.old.nulls[at]) {
                (true, true) => true,
                (false, false) => {
                    if value::is_unchanged_toast(column, self.new.values[at]) {
                        self.new.values[at] = self.old.values[at];
                        true
                    } else {
                        value::same_image(column, self.new.values[at], self.old.values[at])
                    }
                }
                (true, false) | (false, true) => false,
            };
            if !same {
                changed[position / 8] |= 1 << (position % 8);
                differs = true;
            }
        }
        differs
    }

    /// Takes over a large key that did not change: the server logs it with the old key, as the new
    /// row has only the pointer to it.
    #[cold]
    fn fill_key(&mut self, entry: &Entry) {
        for (position, column) in entry.columns.iter().enumerate() {
            let at = column.attribute;
            if entry.identity[position / 8] & 1 << (position % 8) != 0
                && !self.new.nulls[at]
                && !self.old.nulls[at]
                && value::is_unchanged_toast(column, self.new.values[at])
            {
                self.new.values[at] = self.old.values[at];
            }
        }
    }

    #[inline]
    fn write_new(
        &mut self,
        entry: &mut Entry,
        external: bool,
        width: usize,
        frame: &mut Frame,
    ) -> Result<(), OutOfMemory> {
        let limits = Limits {
            external,
            width,
            room: Room {
                value: self.max_value_bytes,
                frame: frame.len() + MAX_ROW_BYTES,
            },
        };
        let source = Source {
            row: &self.new,
            encoding: self.encoding,
            limits,
        };
        write_row(
            source,
            &mut entry.columns,
            Carried::All,
            &mut self.bitmaps,
            frame,
            true,
        )
    }

    #[inline]
    fn write_old(
        &mut self,
        columns: &mut [Column],
        carried: Carried<'_>,
        width: usize,
        end: usize,
        frame: &mut Frame,
    ) -> Result<(), OutOfMemory> {
        let limits = Limits {
            external: false,
            width,
            room: Room {
                value: self.max_value_bytes,
                frame: end.min(frame.len() + MAX_ROW_BYTES),
            },
        };
        let source = Source {
            row: &self.old,
            encoding: self.encoding,
            limits,
        };
        write_row(source, columns, carried, &mut self.bitmaps, frame, false)
    }
}

#[derive(Clone, Copy)]
struct Source<'a> {
    row: &'a DeformedRow,
    encoding: Encoding,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    /// Whether a value may stand outside of the tuple, so that its size is not bounded by it.
    external: bool,
    /// Bytes of the tuple.
    width: usize,
    room: Room,
}

impl Limits {
    /// Whether a value of the row may be over a limit. PostgreSQL's compressions shrink by less than
    /// 300 to 1, so what stands in the tuple itself cannot be much larger than the tuple.
    #[inline]
    fn may_be_passed(self) -> bool {
        self.external || self.width.saturating_mul(300) > self.room.value
    }
}

/// Writes one row, and again with markers in place of values that turn out to be unreadable or too
/// large: marks come before values.
#[inline]
fn write_row(
    source: Source<'_>,
    columns: &mut [Column],
    carried: Carried<'_>,
    bitmaps: &mut Bitmaps,
    frame: &mut Frame,
    new: bool,
) -> Result<(), OutOfMemory> {
    bitmaps.omitted.clear();
    bitmaps.failed.clear();
    if source.limits.may_be_passed() {
        omit_large(source, columns, carried, bitmaps);
    }
    loop {
        let start = frame.len();
        try_row(source, columns, carried, bitmaps, frame, new)?;
        if bitmaps.failed.is_empty() {
            return Ok(());
        }
        frame.truncate(start);
        bitmaps.omitted.append(&mut bitmaps.failed);
        bitmaps.omitted.sort_unstable_by_key(|omitted| omitted.0);
    }
}

/// Marks values over the limit, and those with which the row would pass its own.
#[cold]
fn omit_large(source: Source<'_>, columns: &[Column], carried: Carried<'_>, bitmaps: &mut Bitmaps) {
    let mut row_bytes = 0;
    for (position, column) in columns.iter().enumerate() {
        let at = column.attribute;
        if source.row.nulls[at] || !carries(carried, position) {
            continue;
        }
        let size = value::raw_size(column, source.row.values[at]);
        if size > source.limits.room.value || row_bytes + size > MAX_ROW_BYTES {
            bitmaps
                .omitted
                .push((position, OmittedReason::TooLarge, size as u64));
        } else {
            row_bytes += size;
        }
    }
}

#[inline]
fn carries(carried: Carried<'_>, position: usize) -> bool {
    match carried {
        Carried::All => true,
        Carried::These(bitmap) => bitmap[position / 8] & 1 << (position % 8) != 0,
    }
}

/// Writes one row but for the values that cannot travel, which it notes.
#[inline]
fn try_row(
    source: Source<'_>,
    columns: &mut [Column],
    carried: Carried<'_>,
    bitmaps: &mut Bitmaps,
    frame: &mut Frame,
    new: bool,
) -> Result<(), OutOfMemory> {
    let marks = bitmaps.fill(source, columns, carried);
    let open = if new {
        frame.open_new(marks)
    } else {
        frame.open_old(marks)
    }?;
    let partial = marks.columns.is_some();
    for (position, reason, size) in &bitmaps.omitted {
        frame.omitted(*position, *reason, *size)?;
    }
    let mut omitted = bitmaps.omitted.iter().map(|omitted| omitted.0).peekable();
    for (position, column) in columns.iter_mut().enumerate() {
        let at = column.attribute;
        let left_out = partial && bitmaps.columns[position / 8] & 1 << (position % 8) == 0;
        if source.row.nulls[at] || left_out {
            continue;
        }
        if omitted.next_if_eq(&position).is_some() {
            continue;
        }
        let (datum, room) = (source.row.values[at], source.limits.room);
        match value::write(column, datum, source.encoding, room, frame) {
            Ok(()) => {}
            Err(ValueError::Omitted(reason, size)) => bitmaps.failed.push((position, reason, size)),
            Err(ValueError::OutOfMemory) => return Err(OutOfMemory),
        }
    }
    frame.finish_row(open)
}

impl Bitmaps {
    /// Fills in the bitmaps that the row needs. A column of the new row that is only a pointer to
    /// an unchanged TOAST value is not carried.
    #[inline]
    fn fill(
        &mut self,
        source: Source<'_>,
        columns: &[Column],
        carried: Carried<'_>,
    ) -> RowBitmaps<'_> {
        let bytes = columns.len().div_ceil(8);
        let mut any_null = false;
        let mut any_absent = false;
        match carried {
            Carried::All => self.columns[..bytes].fill(0xFF),
            Carried::These(bitmap) => {
                self.columns[..bytes].copy_from_slice(&bitmap[..bytes]);
                any_absent = true;
            }
        }
        for (position, column) in columns.iter().enumerate() {
            let at = column.attribute;
            let (byte, bit) = (position / 8, 1 << (position % 8));
            if source.row.nulls[at] {
                if self.columns[byte] & bit == 0 {
                    continue;
                }
                if !any_null {
                    self.nulls[..bytes].fill(0);
                    any_null = true;
                }
                self.nulls[byte] |= bit;
            } else if source.limits.external
                && value::is_unchanged_toast(column, source.row.values[at])
            {
                self.columns[byte] &= !bit;
                any_absent = true;
            }
        }
        if any_absent && !columns.len().is_multiple_of(8) {
            // Bits beyond the last column say nothing; keep them clear.
            self.columns[bytes - 1] &= (1 << (columns.len() % 8)) - 1;
        }
        RowBitmaps {
            columns: any_absent.then_some(&self.columns[..bytes]),
            nulls: any_null.then_some(&self.nulls[..bytes]),
        }
    }
}
