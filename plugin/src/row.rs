//! One row of a change: which columns travel, and the row message.

use pgevents_proto::{MAX_COLUMNS, OmittedReason, OutOfMemory, RowBitmaps};

use crate::{
    column::Column,
    ffi::{DeformedRow, Encoding, Frame},
    options::MAX_ROW_BYTES,
    value::{self, Room, ValueError},
};

/// Bytes of a bitmap that holds any row.
pub const BITMAP_BYTES: usize = MAX_COLUMNS.div_ceil(8);

/// A row with what its values have to keep to.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The values, taken out of their tuple.
    pub row: &'a DeformedRow,
    /// That of the database.
    pub encoding: Encoding,
    /// What is too large.
    pub limits: Limits,
}

/// What bounds the values of a row.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Whether a value may stand outside of the tuple, so that its size is not bounded by it.
    pub external: bool,
    /// Bytes of the tuple.
    pub width: usize,
    /// Bytes that are left for a value, and for the frame.
    pub room: Room,
}

/// Which columns of a row are candidates.
#[derive(Clone, Copy)]
pub enum Carried<'a> {
    /// Every column.
    All,
    /// Those whose bit is set.
    These(&'a [u8]),
}

/// The marks of one row; they serve one row after another.
pub struct Bitmaps {
    columns: [u8; BITMAP_BYTES],
    nulls: [u8; BITMAP_BYTES],
    omitted: Vec<Omitted>,
    /// Values that turned out to be none that travel while the row was written.
    failed: Vec<Omitted>,
}

/// Position of a column, why its value does not travel, and the size of it.
type Omitted = (usize, OmittedReason, u64);

/// Writes one row, and again with markers in place of values that turn out to be unreadable or too
/// large: marks come before values.
#[inline]
pub fn write_row(
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

impl Limits {
    /// Whether a value of the row may be over a limit. PostgreSQL's compressions shrink by less
    /// than 300 to 1, so what stands in the tuple itself cannot be much larger than the tuple.
    #[inline]
    fn may_be_passed(self) -> bool {
        self.external || self.width.saturating_mul(300) > self.room.value
    }
}

impl Default for Bitmaps {
    fn default() -> Self {
        Self {
            columns: [0; BITMAP_BYTES],
            nulls: [0; BITMAP_BYTES],
            omitted: Vec::new(),
            failed: Vec::new(),
        }
    }
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
