use crate::{
    frame::{
        DecodeError,
        wire::{I32, I64, LEN, Reader, Tag, VARINT},
    },
    model::{Cell, Kind, OmittedReason, Relation},
};

/// Reads a `Row` message into `cells`, which is cleared before; bytes by their place in the
/// message.
pub(super) fn read_row(
    bytes: &[u8],
    relation: &Relation,
    cells: &mut Vec<Cell>,
) -> Result<(), DecodeError> {
    cells.clear();
    cells.resize(relation.columns.len(), Cell::Absent);
    let mut row = OpenRow {
        relation,
        cells,
        length: bytes.len(),
        columns: None,
        nulls: None,
        whole: true,
        cursor: 0,
    };
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                row.whole = false;
                row.columns = Some(row.bitmap(row.columns, reader.typed(tag, LEN)?.bytes()?)?);
            }
            2 => {
                row.whole = false;
                row.nulls = Some(row.bitmap(row.nulls, reader.typed(tag, LEN)?.bytes()?)?);
            }
            3 => {
                row.whole = false;
                row.omit(reader.typed(tag, LEN)?.bytes()?)?;
            }
            4..=8 => row.value(tag, &mut reader)?,
            _ => reader.skip(tag)?,
        }
    }
    match row.next_column() {
        None => Ok(()),
        Some(_) => Err(DecodeError::ValuesMissing(relation.id)),
    }
}

/// A row whose columns before `cursor` are settled.
struct OpenRow<'r, 'd> {
    relation: &'r Relation,
    cells: &'r mut Vec<Cell>,
    /// Of the whole message, in bytes.
    length: usize,
    columns: Option<&'d [u8]>,
    nulls: Option<&'d [u8]>,
    /// So far, every column has a value.
    whole: bool,
    cursor: usize,
}

impl<'d> OpenRow<'_, 'd> {
    /// Checks a bitmap; `known` is the one that the row has already.
    fn bitmap(&self, known: Option<&[u8]>, bytes: &'d [u8]) -> Result<&'d [u8], DecodeError> {
        let columns = self.cells.len();
        let stray = match (bytes.last(), columns % 8) {
            (None, _) | (_, 0) => false,
            (Some(last), used) => last >> used != 0,
        };
        if known.is_some() || self.cursor != 0 || bytes.len() != columns.div_ceil(8) || stray {
            return Err(DecodeError::Bitmap {
                relation: self.relation.id,
                columns,
            });
        }
        Ok(bytes)
    }

    fn omit(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        let (mut column, mut reason, mut size) = (0, 0, 0);
        while let Some(tag) = reader.tag()? {
            match tag.field {
                1 => column = reader.typed(tag, VARINT)?.varint32()?,
                2 => reason = reader.typed(tag, VARINT)?.varint()?,
                3 => size = reader.typed(tag, VARINT)?.varint()?,
                _ => reader.skip(tag)?,
            }
        }
        let reason = OmittedReason::from_wire(reason).ok_or(DecodeError::Enum {
            what: "reason",
            number: reason,
        })?;
        let at = column as usize;
        let free = at >= self.cursor
            && self.cells.get(at) == Some(&Cell::Absent)
            && self.columns.is_none_or(|bits| bit(bits, at))
            && !self.nulls.is_some_and(|bits| bit(bits, at));
        if !free {
            return Err(DecodeError::Omitted {
                relation: self.relation.id,
                column,
            });
        }
        self.cells[at] = Cell::Omitted { reason, size };
        Ok(())
    }

    #[inline]
    fn value(&mut self, tag: Tag, reader: &mut Reader<'d>) -> Result<(), DecodeError> {
        let at = self
            .next_column()
            .ok_or(DecodeError::ValuesLeft(self.relation.id))?;
        let kind = self.relation.columns[at].kind;
        let (field, wire_type) = field_of(kind);
        if tag.field != field {
            let (relation, field) = (self.relation.id, tag.field);
            return Err(DecodeError::ValueKind {
                relation,
                column: at,
                kind,
                field,
            });
        }
        let reader = reader.typed(tag, wire_type)?;
        self.cells[at] = match field {
            INTEGERS => Cell::Integer(reader.zigzag()?),
            MICROS => Cell::Micros(reader.fixed64()? as i64),
            FLOAT4 => Cell::Float4(f32::from_bits(reader.fixed32()?)),
            FLOAT8 => Cell::Float8(f64::from_bits(reader.fixed64()?)),
            _ => {
                let len = reader.bytes()?.len();
                let end = self.length - reader.len();
                if kind == Kind::Uuid && len != 16 {
                    return Err(DecodeError::UuidLength {
                        relation: self.relation.id,
                        column: at,
                        len,
                    });
                }
                cell_of_bytes(len, end)?
            }
        };
        Ok(())
    }

    /// Steps to the next column that has a value on the wire and settles those before it.
    #[inline]
    fn next_column(&mut self) -> Option<usize> {
        if !self.whole {
            return self.next_of_some();
        }
        let at = self.cursor;
        if at == self.cells.len() {
            return None;
        }
        self.cursor = at + 1;
        Some(at)
    }

    fn next_of_some(&mut self) -> Option<usize> {
        while self.cursor < self.cells.len() {
            let at = self.cursor;
            self.cursor += 1;
            if !self.columns.is_none_or(|bits| bit(bits, at)) {
                continue;
            }
            if self.nulls.is_some_and(|bits| bit(bits, at)) {
                self.cells[at] = Cell::Null;
                continue;
            }
            if let Cell::Omitted { .. } = self.cells[at] {
                continue;
            }
            return Some(at);
        }
        None
    }
}

/// The `len` bytes before `end`, which has as many before it. No message is too large for a place
/// in it: one of PostgreSQL's protocol has 1 GiB.
#[inline]
fn cell_of_bytes(len: usize, end: usize) -> Result<Cell, DecodeError> {
    let end = u32::try_from(end).map_err(|_| DecodeError::Truncated)?;
    Ok(Cell::Bytes {
        start: end - len as u32,
        end,
    })
}

#[inline]
fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 != 0
}

const INTEGERS: u32 = 4;
const MICROS: u32 = 5;
const FLOAT4: u32 = 6;
const FLOAT8: u32 = 7;
const BYTES: u32 = 8;

/// Field of `Row` that holds values of this kind, and its wire type.
#[inline]
fn field_of(kind: Kind) -> (u32, u8) {
    match kind {
        Kind::Bool | Kind::Integer | Kind::Date => (INTEGERS, VARINT),
        Kind::Time | Kind::Timestamp | Kind::Timestamptz => (MICROS, I64),
        Kind::Float4 => (FLOAT4, I32),
        Kind::Float8 => (FLOAT8, I64),
        Kind::Numeric | Kind::Text | Kind::Json | Kind::Bytea | Kind::Uuid => (BYTES, LEN),
    }
}
