//! How the values of one column are read and sent: decided once per definition of a table.

use std::collections::HashMap;

use pgevents_proto::Kind;
use pgrx::pg_sys::{self, Oid};

use crate::ffi::{
    Attribute, MemoryContext, OutputFunction, TypeOutput, check_for_interrupts,
    composite_attributes, has_json_cast, unless_error,
};

/// Composite types that contain each other deeper than this are shown as text.
const MAX_TYPE_DEPTH: usize = 16;

/// Attributes of composite types, in all, that are looked at for one table: more are shown as text.
const MAX_TYPE_ATTRIBUTES: usize = 10_000;

/// `array_to_json(anyarray)` and `row_to_json(record)`. Source: PostgreSQL
/// `src/include/catalog/pg_proc.dat`; the names in `fmgroids.h` differ between majors.
const ARRAY_TO_JSON: u32 = 3153;
const ROW_TO_JSON: u32 = 3155;

/// What is known of the types of one table's columns: of which to make JSON.
#[derive(Default)]
pub struct JsonTypes {
    heights: HashMap<Oid, Height>,
    /// How many attributes of composite types have been looked at.
    attributes: usize,
}

/// How deep types contain each other below one.
enum Height {
    Is(usize),
    /// More than this, or the type is not safe at any height.
    Above(usize),
}

/// One column that travels.
pub struct Column {
    /// Position of its attribute in a deformed tuple.
    pub attribute: usize,
    /// Passed by value.
    pub by_value: bool,
    /// Size in bytes; -1 for varlena, -2 for a C string.
    pub length: i16,
    /// How to read a value.
    pub form: Form,
    /// How it travels.
    pub kind: Kind,
}

/// What a datum of a column holds.
pub enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Days since 2000-01-01.
    Date,
    /// Microseconds: time, timestamp, timestamptz.
    Micros,
    /// 16 bytes.
    Uuid,
    /// A varlena whose payload is sent as it is; `text` is converted to UTF-8.
    Varlena {
        text: bool,
    },
    /// Decimal text of its stored form; with a buffer for it.
    Numeric(Vec<u8>),
    /// Anything else, by a function that returns a C string.
    Output(OutputFunction),
    /// An array or a composite, by a function that returns JSON as a text.
    Json(OutputFunction),
    /// The type's own code cannot be loaded: the library of its extension is gone.
    Unreadable,
}

impl Form {
    /// Whether reading a value calls the type's own code.
    pub fn calls_output(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Json(_))
    }
}

impl Column {
    /// Plans how `attribute` is sent; function look-ups live in `memory`.
    pub fn plan(attribute: &Attribute, types: &mut JsonTypes, memory: &MemoryContext) -> Self {
        let (form, kind) = form_of(attribute.type_oid, types, memory);
        Self {
            attribute: attribute.index,
            by_value: attribute.by_value,
            length: attribute.length,
            form,
            kind,
        }
    }
}

fn form_of(type_oid: Oid, types: &mut JsonTypes, memory: &MemoryContext) -> (Form, Kind) {
    let output = TypeOutput::of(type_oid);
    match output.base {
        pg_sys::BOOLOID => (Form::Bool, Kind::Bool),
        pg_sys::INT2OID => (Form::Int2, Kind::Integer),
        pg_sys::INT4OID => (Form::Int4, Kind::Integer),
        pg_sys::INT8OID => (Form::Int8, Kind::Integer),
        pg_sys::FLOAT4OID => (Form::Float4, Kind::Float4),
        pg_sys::FLOAT8OID => (Form::Float8, Kind::Float8),
        pg_sys::DATEOID => (Form::Date, Kind::Date),
        pg_sys::TIMEOID => (Form::Micros, Kind::Time),
        pg_sys::TIMESTAMPOID => (Form::Micros, Kind::Timestamp),
        pg_sys::TIMESTAMPTZOID => (Form::Micros, Kind::Timestamptz),
        pg_sys::UUIDOID => (Form::Uuid, Kind::Uuid),
        pg_sys::BYTEAOID => (Form::Varlena { text: false }, Kind::Bytea),
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => {
            (Form::Varlena { text: true }, Kind::Text)
        }
        pg_sys::JSONOID => (Form::Varlena { text: true }, Kind::Json),
        pg_sys::NUMERICOID => (Form::Numeric(Vec::new()), Kind::Numeric),
        pg_sys::JSONBOID => (
            by_function(output.function, Form::Output, memory),
            Kind::Json,
        ),
        base => match json_function(&output) {
            Some(function) if types.is_safe(base) => (
                by_function(Oid::from(function), Form::Json, memory),
                Kind::Json,
            ),
            _ => (
                by_function(output.function, Form::Output, memory),
                Kind::Text,
            ),
        },
    }
}

/// Looking a function up loads its library, which may be gone while the WAL still has the type.
fn by_function(function: Oid, form: fn(OutputFunction) -> Form, memory: &MemoryContext) -> Form {
    unless_error(|| OutputFunction::new(function, memory)).map_or(Form::Unreadable, form)
}

/// The function that makes JSON of a value without being told its type.
fn json_function(output: &TypeOutput) -> Option<u32> {
    if output.element.is_some() {
        Some(ARRAY_TO_JSON)
    } else if output.composite {
        Some(ROW_TO_JSON)
    } else {
        None
    }
}

impl JsonTypes {
    /// Whether `to_json` of the type calls nothing but the server's own code. A cast function that
    /// somebody made, for the type or a part of it, may do anything, also what decoding must not.
    fn is_safe(&mut self, type_oid: Oid) -> bool {
        self.height(type_oid, MAX_TYPE_DEPTH).is_some()
    }

    /// How deep types contain each other below this one; `None`: deeper than `room`, not safe, or
    /// not to be known within the limits. The search goes no deeper than `room`, whatever somebody
    /// has nested, and looks at a type again only when there is more room than before.
    fn height(&mut self, type_oid: Oid, room: usize) -> Option<usize> {
        match self.heights.get(&type_oid) {
            Some(Height::Is(height)) => return (*height <= room).then_some(*height),
            Some(Height::Above(tried)) if room <= *tried => return None,
            _ => {}
        }
        check_for_interrupts();
        // What contains itself fits nowhere.
        self.heights.insert(type_oid, Height::Above(room));
        let height = self.look_at(type_oid, room)?;
        self.heights.insert(type_oid, Height::Is(height));
        Some(height)
    }

    fn look_at(&mut self, type_oid: Oid, room: usize) -> Option<usize> {
        let output = TypeOutput::of(type_oid);
        if let Some(element) = output.element {
            return Some(self.height(element, room.checked_sub(1)?)? + 1);
        }
        if !output.composite {
            return (!has_json_cast(output.base)).then_some(0);
        }
        let attributes = composite_attributes(output.base);
        self.attributes += attributes.len();
        let mut highest = 0;
        for attribute in attributes {
            if self.attributes > MAX_TYPE_ATTRIBUTES {
                return None;
            }
            highest = highest.max(self.height(attribute, room.checked_sub(1)?)? + 1);
        }
        Some(highest)
    }
}
