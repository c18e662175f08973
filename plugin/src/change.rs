//! One row change: which columns differ, which rows travel, and the change message.

use pgevents_proto::{Action, OutOfMemory, ReplicaIdentity};

use crate::{
    column::Column,
    dictionary::Entry,
    ffi::{DeformedRow, Encoding, Frame, RowAction, RowChange, Table},
    options::MAX_ROW_BYTES,
    row::{BITMAP_BYTES, Bitmaps, Carried, Limits, Source, write_row},
    value::{self, Room},
};

/// Most bytes that both rows of a change take in a frame. With what stands before them the frame
/// stays below the 1 GiB that one message of PostgreSQL's protocol may have.
const MAX_CHANGE_BYTES: usize = 960 * 1024 * 1024;

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

impl ChangeWriter {
    /// For a database of this encoding.
    pub fn new(encoding: Encoding, max_value_bytes: usize) -> Self {
        Self {
            new: DeformedRow::default(),
            old: DeformedRow::default(),
            bitmaps: Bitmaps::default(),
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
        match image.action {
            RowAction::Insert => self.insert(entry, image, skipped, frame),
            RowAction::Update => self.update(entry, image, skipped, frame),
            RowAction::Delete => self.delete(entry, image, skipped, frame),
        }
    }

    #[inline]
    fn insert(
        &mut self,
        entry: &mut Entry,
        RowImage { table, change, .. }: RowImage<'_>,
        skipped: impl FnOnce() -> u64,
        frame: &mut Frame,
    ) -> Result<Written, OutOfMemory> {
        let Some(new) = change.new_tuple() else {
            return Ok(Written::Empty);
        };
        new.deform(table, &mut self.new);
        let open = frame.open_change(skipped(), Action::Insert, entry.relation.id)?;
        self.write_new(entry, new.has_external(), new.len(), frame)?;
        frame.finish_change(open)?;
        Ok(Written::Sent)
    }

    #[inline]
    fn update(
        &mut self,
        entry: &mut Entry,
        image: RowImage<'_>,
        skipped: impl FnOnce() -> u64,
        frame: &mut Frame,
    ) -> Result<Written, OutOfMemory> {
        let RowImage { table, change, .. } = image;
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
        if !differs && image.skip_noop {
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
            let end = start + MAX_CHANGE_BYTES;
            self.write_old(&mut entry.columns, columns, old.len(), end, frame)?;
            if full {
                frame.old_complete()?;
            }
        }
        frame.finish_change(open)?;
        Ok(Written::Sent)
    }

    #[inline]
    fn delete(
        &mut self,
        entry: &mut Entry,
        RowImage { table, change, .. }: RowImage<'_>,
        skipped: impl FnOnce() -> u64,
        frame: &mut Frame,
    ) -> Result<Written, OutOfMemory> {
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
