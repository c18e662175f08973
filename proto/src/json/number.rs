//! Numbers as PostgreSQL prints them.

mod float;

pub(super) use float::{write_float4, write_float8};

use super::text::write_string;

pub(super) fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes `value` with leading zeros up to `width` digits, at most 20.
pub(super) fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.extend_from_slice(&[b'0'; 20][..width.saturating_sub(digits.len())]);
    out.extend_from_slice(digits);
}

/// A numeric's text: a JSON number where it is one, else (NaN, infinities) a JSON string.
pub(super) fn write_numeric(text: &[u8], out: &mut Vec<u8>) {
    if is_json_number(text) {
        out.extend_from_slice(text)
    } else {
        write_string(text, out)
    }
}

/// Whether a text is a number of JSON's. Source: RFC 8259, section 6.
pub(super) fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let [b'.', fraction @ ..] = rest {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}
