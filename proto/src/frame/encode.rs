//! Writes frames straight into one reused buffer: no message structs, no second pass.

mod buffer;
mod tag;

pub use buffer::FrameBuffer;

use crate::model::{Action, Begin, Commit, Hello, Lsn, OmittedReason, OutOfMemory, Relation};

/// A frame is sent when it has grown past this size, in bytes. One frame is one `send()` of the
/// walsender, so the cost of that call is shared by all rows of the frame.
pub const FRAME_TARGET_BYTES: usize = 32 * 1024;

/// Longest value besides its own bytes: one tag byte and a ten-byte varint.
const VALUE_OVERHEAD: usize = 11;

/// Bitmaps that head a row; bit `i % 8` of byte `i / 8` is column `i`. `None` where no bit would
/// say anything: all columns are carried, or none is NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowBitmaps<'a> {
    /// Columns that the row carries.
    pub columns: Option<&'a [u8]>,
    /// Columns that are NULL.
    pub nulls: Option<&'a [u8]>,
}

/// A message whose length is not known yet; [`FrameEncoder::finish_row`] and
/// [`FrameEncoder::finish_change`] fill it in.
#[derive(Debug)]
#[must_use = "an open message has no length until it is finished"]
pub struct Open {
    /// Where the length stands.
    at: usize,
    /// Bytes set aside for it.
    width: usize,
}

/// Builds one frame after another in the same buffer.
///
/// Every method fails with [`OutOfMemory`] only; the frame is then unusable until [`clear`].
///
/// [`clear`]: FrameEncoder::clear
#[derive(Debug)]
pub struct FrameEncoder<B = Vec<u8>> {
    buf: B,
    /// Width that the length of the last change needed. Rows resemble their neighbours, so the
    /// guess is nearly always right and the row need not be moved.
    change_width: usize,
    row_width: usize,
}

impl Default for FrameEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameEncoder {
    /// An empty encoder; memory is taken as frames grow.
    pub fn new() -> Self {
        Self::within(Vec::new())
    }
}

impl<B: FrameBuffer> FrameEncoder<B> {
    /// An encoder that writes into `buffer`, which is empty.
    pub fn within(buffer: B) -> Self {
        Self {
            buf: buffer,
            change_width: 1,
            row_width: 1,
        }
    }

    /// The frame so far.
    pub fn bytes(&self) -> &[u8] {
        self.buf.bytes()
    }

    /// The memory that the frame stands in.
    pub fn buffer_mut(&mut self) -> &mut B {
        &mut self.buf
    }

    /// Size of the frame so far, in bytes.
    pub fn len(&self) -> usize {
        self.buf.bytes().len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.buf.bytes().is_empty()
    }

    /// Starts the next frame.
    pub fn clear(&mut self) {
        self.buf.clear();
    }

    /// Takes back everything after the first `len` bytes; what was open there is gone.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    /// Writes the session's self-description, which stands first in its first frame.
    pub fn hello(&mut self, hello: &Hello) -> Result<(), OutOfMemory> {
        let open = self.open(tag::FRAME_HELLO, 1)?;
        self.varint(tag::HELLO_PROTOCOL_VERSION, hello.protocol_version.into())?;
        self.bytes_field(tag::HELLO_PLUGIN_VERSION, hello.plugin_version.as_bytes())?;
        self.varint(
            tag::HELLO_SERVER_VERSION_NUM,
            hello.server_version_num.into(),
        )?;
        self.bytes_field(
            tag::HELLO_DATABASE_ENCODING,
            hello.database_encoding.as_bytes(),
        )?;
        for option in &hello.options {
            self.bytes_field(tag::HELLO_OPTION, option.as_bytes())?;
        }
        self.finish(open)
    }

    /// Writes a dictionary entry; it must come before the first change that uses its id. No change
    /// behind it uses the ids in `forgotten`.
    pub fn relation(&mut self, relation: &Relation, forgotten: &[u32]) -> Result<(), OutOfMemory> {
        let open = self.open(tag::FRAME_RELATION, 2)?;
        self.varint(tag::RELATION_ID, relation.id.into())?;
        self.varint(tag::RELATION_OID, relation.oid.into())?;
        self.bytes_field(tag::RELATION_SCHEMA, relation.schema.as_bytes())?;
        self.bytes_field(tag::RELATION_NAME, relation.name.as_bytes())?;
        self.varint(
            tag::RELATION_REPLICA_IDENTITY,
            relation.replica_identity as u64,
        )?;
        for column in &relation.columns {
            let open = self.open(tag::RELATION_COLUMN, 1)?;
            self.bytes_field(tag::COLUMN_NAME, column.name.as_bytes())?;
            self.varint(tag::COLUMN_TYPE_OID, column.type_oid.into())?;
            self.varint(tag::COLUMN_KIND, column.kind as u64)?;
            if column.identity {
                self.varint(tag::COLUMN_IDENTITY, 1)?;
            }
            self.finish(open)?;
        }
        self.packed(tag::RELATION_PRIMARY_KEY, &relation.primary_key)?;
        self.packed(tag::RELATION_FORGOTTEN_ID, forgotten)?;
        self.finish(open)
    }

    /// Opens a transaction. `origin` is the name of its replication origin, empty for a local one.
    pub fn begin(&mut self, begin: &Begin, origin: &str) -> Result<(), OutOfMemory> {
        let open = self.open(tag::FRAME_BEGIN, 1)?;
        self.fixed64(tag::BEGIN_END_LSN, begin.end_lsn.0)?;
        self.fixed64(tag::BEGIN_COMMIT_TIME, begin.commit_time as u64)?;
        self.varint(tag::BEGIN_XID, begin.xid.into())?;
        if !origin.is_empty() {
            self.bytes_field(tag::BEGIN_ORIGIN, origin.as_bytes())?;
        }
        self.fixed64(tag::BEGIN_COMMIT_LSN, begin.commit_lsn.0)?;
        self.finish(open)
    }

    /// Closes the transaction.
    pub fn commit(&mut self, commit: &Commit) -> Result<(), OutOfMemory> {
        let open = self.open(tag::FRAME_COMMIT, 1)?;
        self.fixed64(tag::COMMIT_END_LSN, commit.end_lsn.0)?;
        if commit.filtered_rows != 0 {
            self.varint(tag::COMMIT_FILTERED_ROWS, commit.filtered_rows)?;
        }
        if commit.noop_rows != 0 {
            self.varint(tag::COMMIT_NOOP_ROWS, commit.noop_rows)?;
        }
        self.finish(open)
    }

    /// Opens a row change; rows follow, then [`finish_change`](Self::finish_change). `skipped` is
    /// the number of changes of this transaction that were kept back since the last one sent,
    /// `relation` a dictionary id.
    #[inline]
    pub fn open_change(
        &mut self,
        skipped: u64,
        action: Action,
        relation: u32,
    ) -> Result<Open, OutOfMemory> {
        let open = self.open(tag::FRAME_CHANGE, self.change_width)?;
        if skipped != 0 {
            self.varint(tag::CHANGE_SKIPPED, skipped)?;
        }
        self.varint(tag::CHANGE_ACTION, action as u64)?;
        self.varint(tag::CHANGE_RELATION, relation.into())?;
        Ok(open)
    }

    /// Says that every column of the old row is known.
    #[inline]
    pub fn old_complete(&mut self) -> Result<(), OutOfMemory> {
        self.varint(tag::CHANGE_OLD_COMPLETE, 1)
    }

    /// Opens the new row of the open change; values follow in column order.
    #[inline]
    pub fn open_new(&mut self, bitmaps: RowBitmaps<'_>) -> Result<Open, OutOfMemory> {
        self.open_row(tag::CHANGE_NEW, bitmaps)
    }

    /// Opens the old row of the open change; values follow in column order.
    #[inline]
    pub fn open_old(&mut self, bitmaps: RowBitmaps<'_>) -> Result<Open, OutOfMemory> {
        self.open_row(tag::CHANGE_OLD, bitmaps)
    }

    #[inline]
    fn open_row(&mut self, tag: u8, bitmaps: RowBitmaps<'_>) -> Result<Open, OutOfMemory> {
        let open = self.open(tag, self.row_width)?;
        if let Some(columns) = bitmaps.columns {
            self.bytes_field(tag::ROW_COLUMNS, columns)?;
        }
        if let Some(nulls) = bitmaps.nulls {
            self.bytes_field(tag::ROW_NULLS, nulls)?;
        }
        Ok(open)
    }

    /// Marks a column of the open row as kept back; `size` in bytes, 0 where unknown. All marks of
    /// a row stand before its values.
    pub fn omitted(
        &mut self,
        column: usize,
        reason: OmittedReason,
        size: u64,
    ) -> Result<(), OutOfMemory> {
        let open = self.open(tag::ROW_OMITTED, 1)?;
        self.varint(tag::OMITTED_COLUMN, column as u64)?;
        self.varint(tag::OMITTED_REASON, reason as u64)?;
        self.varint(tag::OMITTED_SIZE, size)?;
        self.finish(open)
    }

    /// Next value: bool, integers, date.
    #[inline]
    pub fn integer(&mut self, value: i64) -> Result<(), OutOfMemory> {
        self.varint(tag::ROW_INTEGER, (value << 1 ^ value >> 63) as u64)
    }

    /// Next value: time, timestamp, timestamptz.
    #[inline]
    pub fn micros(&mut self, value: i64) -> Result<(), OutOfMemory> {
        self.fixed64(tag::ROW_MICROS, value as u64)
    }

    /// Next value: real.
    #[inline]
    pub fn float4(&mut self, value: f32) -> Result<(), OutOfMemory> {
        self.reserve(5)?;
        let [a, b, c, d] = value.to_le_bytes();
        self.buf.append(&[tag::ROW_FLOAT4, a, b, c, d]);
        Ok(())
    }

    /// Next value: double precision.
    #[inline]
    pub fn float8(&mut self, value: f64) -> Result<(), OutOfMemory> {
        self.fixed64(tag::ROW_FLOAT8, value.to_bits())
    }

    /// Next value: whatever travels as bytes.
    #[inline]
    pub fn value_bytes(&mut self, value: &[u8]) -> Result<(), OutOfMemory> {
        self.bytes_field(tag::ROW_BYTES, value)
    }

    /// A logical message: inside a transaction as a change (`skipped` as in
    /// [`open_change`](Self::open_change)), outside as a frame of its own (`None`).
    pub fn message(
        &mut self,
        skipped: Option<u64>,
        prefix: &str,
        content: &[u8],
        lsn: Lsn,
    ) -> Result<(), OutOfMemory> {
        let change = match skipped {
            Some(skipped) => Some(self.open_change(skipped, Action::Message, 0)?),
            None => None,
        };
        let tag = if change.is_some() {
            tag::CHANGE_MESSAGE
        } else {
            tag::FRAME_MESSAGE
        };
        let open = self.open(tag, 1)?;
        self.bytes_field(tag::MESSAGE_PREFIX, prefix.as_bytes())?;
        self.bytes_field(tag::MESSAGE_CONTENT, content)?;
        self.fixed64(tag::MESSAGE_LSN, lsn.0)?;
        self.finish(open)?;
        change.map_or(Ok(()), |change| self.finish(change))
    }

    /// Closes an open change and remembers its size for the next one.
    #[inline]
    pub fn finish_change(&mut self, open: Open) -> Result<(), OutOfMemory> {
        self.change_width = varint_len(self.len() - open.at - open.width);
        self.finish(open)
    }

    /// Closes an open row and remembers its size for the next one.
    #[inline]
    pub fn finish_row(&mut self, open: Open) -> Result<(), OutOfMemory> {
        self.row_width = varint_len(self.len() - open.at - open.width);
        self.finish(open)
    }

    /// Fills in the length of an open message; messages close in the reverse order of opening.
    #[inline]
    fn finish(&mut self, open: Open) -> Result<(), OutOfMemory> {
        let body = open.at + open.width;
        let mut length = self.len() - body;
        let width = varint_len(length);
        if width != open.width {
            self.move_body(body, open.at + width)?;
        }
        let field = &mut self.buf.bytes_mut()[open.at..open.at + width];
        for byte in &mut field[..width - 1] {
            *byte = length as u8 | 0x80;
            length >>= 7;
        }
        field[width - 1] = length as u8;
        Ok(())
    }

    /// Moves everything from `from` on to `to`: the length needed another width than guessed.
    #[cold]
    fn move_body(&mut self, from: usize, to: usize) -> Result<(), OutOfMemory> {
        let end = self.len();
        if to > from {
            // Both differ by less than the width of a length.
            self.reserve(to - from)?;
            self.buf.append(&[0; 10][..to - from]);
        }
        self.buf.bytes_mut().copy_within(from..end, to);
        self.buf.truncate(end + to - from);
        Ok(())
    }

    #[inline]
    fn open(&mut self, tag: u8, width: usize) -> Result<Open, OutOfMemory> {
        self.reserve(VALUE_OVERHEAD)?;
        let mut head = [0; VALUE_OVERHEAD];
        head[0] = tag;
        self.buf.append(&head[..=width]);
        let at = self.len() - width;
        Ok(Open { at, width })
    }

    /// A list of numbers; nothing for an empty one.
    fn packed(&mut self, tag: u8, numbers: &[u32]) -> Result<(), OutOfMemory> {
        if numbers.is_empty() {
            return Ok(());
        }
        let open = self.open(tag, 1)?;
        for number in numbers {
            self.reserve(VALUE_OVERHEAD)?;
            push_varint(&mut self.buf, u64::from(*number));
        }
        self.finish(open)
    }

    #[inline]
    fn varint(&mut self, tag: u8, value: u64) -> Result<(), OutOfMemory> {
        self.reserve(VALUE_OVERHEAD)?;
        if value < 0x80 {
            self.buf.append(&[tag, value as u8]);
        } else {
            self.buf.append(&[tag]);
            push_varint(&mut self.buf, value);
        }
        Ok(())
    }

    #[inline]
    fn fixed64(&mut self, tag: u8, value: u64) -> Result<(), OutOfMemory> {
        self.reserve(9)?;
        let mut field = [tag; 9];
        field[1..].copy_from_slice(&value.to_le_bytes());
        self.buf.append(&field);
        Ok(())
    }

    #[inline]
    fn bytes_field(&mut self, tag: u8, value: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(value.len() + VALUE_OVERHEAD)?;
        if value.len() < 0x80 {
            self.buf.append(&[tag, value.len() as u8]);
        } else {
            self.buf.append(&[tag]);
            push_varint(&mut self.buf, value.len() as u64);
        }
        self.buf.append(value);
        Ok(())
    }

    #[inline]
    fn reserve(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.buf.spare() >= bytes {
            return Ok(());
        }
        self.buf.grow(bytes)
    }
}

/// Bytes that `value` takes as a varint, 1 to 10.
#[inline]
fn varint_len(value: usize) -> usize {
    // One byte for each started group of seven bits.
    ((usize::BITS - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

#[inline]
fn push_varint(buf: &mut impl FrameBuffer, mut value: u64) {
    let mut bytes = [0; 10];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    buf.append(&bytes[..=len]);
}
