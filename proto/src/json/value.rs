use super::{
    number::{write_float4, write_float8, write_integer, write_numeric},
    text::{write_document, write_hex_string, write_string, write_uuid},
    time::{Zone, write_date, write_time, write_timestamp},
};
use crate::model::{Kind, OmittedReason, Value};

/// Writes one value as `row_to_json` would. A variant that does not belong to the kind, which no
/// decoded row has, is still shown as valid JSON.
#[inline]
pub(super) fn write_value(kind: Kind, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Absent | Value::Null => out.extend_from_slice(b"null"),
        Value::Integer(value) => write_integral(kind, value, out),
        Value::Micros(value) => write_micros(kind, value, out),
        Value::Float4(value) => write_float4(value, out),
        Value::Float8(value) => write_float8(value, out),
        Value::Bytes(bytes) => write_bytes(kind, bytes, out),
        Value::Omitted { reason, size } => write_omitted(reason, size, out),
    }
}

fn write_integral(kind: Kind, value: i64, out: &mut Vec<u8>) {
    match kind {
        Kind::Bool if value == 0 => out.extend_from_slice(b"false"),
        Kind::Bool => out.extend_from_slice(b"true"),
        Kind::Date => write_date(value, out),
        Kind::Integer
        | Kind::Float4
        | Kind::Float8
        | Kind::Numeric
        | Kind::Text
        | Kind::Json
        | Kind::Bytea
        | Kind::Uuid
        | Kind::Time
        | Kind::Timestamp
        | Kind::Timestamptz => write_integer(value, out),
    }
}

fn write_micros(kind: Kind, value: i64, out: &mut Vec<u8>) {
    match kind {
        Kind::Time => write_time(value, out),
        Kind::Timestamp => write_timestamp(value, Zone::None, out),
        Kind::Timestamptz => write_timestamp(value, Zone::Utc, out),
        Kind::Bool
        | Kind::Integer
        | Kind::Float4
        | Kind::Float8
        | Kind::Numeric
        | Kind::Text
        | Kind::Json
        | Kind::Bytea
        | Kind::Uuid
        | Kind::Date => write_integer(value, out),
    }
}

fn write_bytes(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
    match kind {
        Kind::Numeric => write_numeric(bytes, out),
        Kind::Json => write_document(bytes, out),
        Kind::Bytea => write_hex_string(bytes, out),
        Kind::Uuid => write_uuid(bytes, out),
        Kind::Text
        | Kind::Bool
        | Kind::Integer
        | Kind::Float4
        | Kind::Float8
        | Kind::Date
        | Kind::Time
        | Kind::Timestamp
        | Kind::Timestamptz => write_string(bytes, out),
    }
}

/// Appends the marker that stands in the place of what was kept back; `size` in bytes, 0 where it
/// is unknown: `{"pgevents_omitted":"too_large","bytes":5000000}`.
pub fn write_omitted(reason: OmittedReason, size: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(match reason {
        OmittedReason::TooLarge => b"{\"pgevents_omitted\":\"too_large\",\"bytes\":".as_slice(),
        OmittedReason::Unreadable => b"{\"pgevents_omitted\":\"unreadable\",\"bytes\":",
    });
    out.extend_from_slice(itoa::Buffer::new().format(size).as_bytes());
    out.push(b'}');
}
