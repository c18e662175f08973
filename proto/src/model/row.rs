/// One column of a row. Which variant a carried value has follows from its column's
/// [`Kind`](super::Kind).
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
    /// Everything else; what the bytes are is the column's [`Kind`](super::Kind)'s to say.
    Bytes(&'a [u8]),
    /// The plugin kept the value back.
    Omitted {
        /// Why.
        reason: OmittedReason,
        /// Size of the value in bytes; 0 where it is unknown.
        size: u64,
    },
}

/// A [`Value`] as it is kept between events, without a lifetime: bytes by their place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// As [`Value::Absent`].
    Absent,
    /// As [`Value::Null`].
    Null,
    /// As [`Value::Integer`].
    Integer(i64),
    /// As [`Value::Micros`].
    Micros(i64),
    /// As [`Value::Float4`].
    Float4(f32),
    /// As [`Value::Float8`].
    Float8(f64),
    /// As [`Value::Bytes`]: from `start` up to `end` of the bytes that the row stands in.
    Bytes {
        /// The first of them.
        start: u32,
        /// Behind the last of them.
        end: u32,
    },
    /// As [`Value::Omitted`].
    Omitted {
        /// Why.
        reason: OmittedReason,
        /// Size of the value in bytes; 0 where it is unknown.
        size: u64,
    },
}

/// Values of one row, one for each column of its relation.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    cells: &'a [Cell],
    bytes: &'a [u8],
}

impl<'a> Row<'a> {
    /// A row of `cells`, one for each column of its relation, whose bytes stand in `bytes`.
    pub fn new(cells: &'a [Cell], bytes: &'a [u8]) -> Self {
        Self { cells, bytes }
    }

    /// Size in bytes of what the row stands in, mostly a frame: its values have no more.
    pub fn stands_in(&self) -> usize {
        self.bytes.len()
    }

    /// The cells.
    pub(crate) fn cells(&self) -> &'a [Cell] {
        self.cells
    }

    /// The same bytes with other cells.
    pub(crate) fn with_cells(self, cells: &'a [Cell]) -> Self {
        Self { cells, ..self }
    }

    /// The value of a column; [`Value::Absent`] behind the last one.
    #[inline]
    pub fn get(&self, column: usize) -> Value<'a> {
        self.cells
            .get(column)
            .map_or(Value::Absent, |cell| self.value(cell))
    }

    /// Whether a column is carried and NULL.
    #[inline]
    pub(crate) fn is_null(&self, column: usize) -> bool {
        self.cells.get(column) == Some(&Cell::Null)
    }

    /// The values in the order of the columns.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let row = *self;
        row.cells.iter().map(move |cell| row.value(cell))
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    #[inline]
    fn value(&self, cell: &Cell) -> Value<'a> {
        match *cell {
            Cell::Absent => Value::Absent,
            Cell::Null => Value::Null,
            Cell::Integer(value) => Value::Integer(value),
            Cell::Micros(value) => Value::Micros(value),
            Cell::Float4(value) => Value::Float4(value),
            Cell::Float8(value) => Value::Float8(value),
            Cell::Bytes { start, end } => {
                let bytes = self.bytes.get(start as usize..end as usize);
                Value::Bytes(bytes.unwrap_or_default())
            }
            Cell::Omitted { reason, size } => Value::Omitted { reason, size },
        }
    }
}

impl PartialEq for Row<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// Why the plugin kept a value back. The discriminants are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OmittedReason {
    /// Larger than `max-value-bytes`, or the row would pass the frame limit with it.
    TooLarge = 1,
    /// The output function of its type failed.
    Unreadable = 2,
}

impl OmittedReason {
    /// The reason behind a number on the wire; `None` for numbers that this version does not know.
    pub fn from_wire(number: u64) -> Option<Self> {
        [Self::TooLarge, Self::Unreadable]
            .into_iter()
            .find(|reason| *reason as u64 == number)
    }
}
