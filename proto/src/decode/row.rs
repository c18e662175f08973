use std::ops::Deref;

use crate::{
    DecodeError, Kind, OmittedReason, Relation,
    wire::{I32, I64, LEN, Reader, Tag, VARINT},
};

/// One column of a row. Which variant a carried value has follows from its column's [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The row does not carry the column.
    Absent,
    /// NULL.
    Null,
    /// Bool (0 is false), integers, or a date in days since 2000-01-01.
    Integer(i64),
    /// Microseconds since midnight (time) or since 2000-01-01 (timestamps).
    Micros(i64),
    /// real
    Float4(f32),
    /// double precision
    Float8(f64),
    /// Everything else; what the bytes are is the column's [`Kind`]'s to say.
    Bytes(&'a [u8]),
    /// The plugin kept the value back.
    Omitted {
        /// Why.
        reason: OmittedReason,
        /// Size of the value in bytes; 0 where it is unknown.
        size: u64,
    },
}

/// Values of one row, one for each column of its relation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a>(pub(crate) &'a [Value<'a>]);

impl<'a> Row<'a> {
    /// A row of values that did not come from a frame; one for each column of its relation.
    pub fn new(values: &'a [Value<'a>]) -> Self {
        Self(values)
    }
}

impl<'a> Deref for Row<'a> {
    type Target = [Value<'a>];

    fn deref(&self) -> &[Value<'a>] {
        self.0
    }
}

/// Reads a `Row` message into `values`, which is cleared before.
pub(super) fn read_row<'d>(
    bytes: &'d [u8],
    relation: &Relation,
    values: &mut Vec<Value<'d>>,
) -> Result<(), DecodeError> {
    values.clear();
    values.resize(relation.columns.len(), Value::Absent);
    let mut row = OpenRow {
        relation,
        values,
        columns: None,
        nulls: None,
        cursor: 0,
    };
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                row.columns = Some(row.bitmap(row.columns, reader.typed(tag, LEN)?.bytes()?)?);
            }
            2 => {
                row.nulls = Some(row.bitmap(row.nulls, reader.typed(tag, LEN)?.bytes()?)?);
            }
            3 => {
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
    values: &'r mut Vec<Value<'d>>,
    columns: Option<&'d [u8]>,
    nulls: Option<&'d [u8]>,
    cursor: usize,
}

impl<'d> OpenRow<'_, 'd> {
    /// Checks a bitmap; `known` is the one that the row has already.
    fn bitmap(&self, known: Option<&[u8]>, bytes: &'d [u8]) -> Result<&'d [u8], DecodeError> {
        let columns = self.values.len();
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
            && self.values.get(at) == Some(&Value::Absent)
            && self.columns.is_none_or(|bits| bit(bits, at))
            && !self.nulls.is_some_and(|bits| bit(bits, at));
        if !free {
            return Err(DecodeError::Omitted {
                relation: self.relation.id,
                column,
            });
        }
        self.values[at] = Value::Omitted { reason, size };
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
        self.values[at] = match field {
            INTEGERS => Value::Integer(reader.zigzag()?),
            MICROS => Value::Micros(reader.fixed64()? as i64),
            FLOAT4 => Value::Float4(f32::from_bits(reader.fixed32()?)),
            FLOAT8 => Value::Float8(f64::from_bits(reader.fixed64()?)),
            _ => Value::Bytes(reader.bytes()?),
        };
        match self.values[at] {
            Value::Bytes(bytes) if kind == Kind::Uuid && bytes.len() != 16 => {
                let (relation, len) = (self.relation.id, bytes.len());
                Err(DecodeError::UuidLength {
                    relation,
                    column: at,
                    len,
                })
            }
            _ => Ok(()),
        }
    }

    /// Steps to the next column that has a value on the wire and settles those before it.
    #[inline]
    fn next_column(&mut self) -> Option<usize> {
        while self.cursor < self.values.len() {
            let at = self.cursor;
            self.cursor += 1;
            if !self.columns.is_none_or(|bits| bit(bits, at)) {
                continue;
            }
            if self.nulls.is_some_and(|bits| bit(bits, at)) {
                self.values[at] = Value::Null;
                continue;
            }
            if let Value::Omitted { .. } = self.values[at] {
                continue;
            }
            return Some(at);
        }
        None
    }
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
