//! PostgreSQL's stored form of `numeric`, as decimal text.
//!
//! Source: PostgreSQL `src/backend/utils/adt/numeric.c`, `NumericChoice` and `get_str_from_var`.
//! The form is on disk, so it cannot change between versions.

use crate::model::OutOfMemory;

const SIGN_MASK: u16 = 0xC000;
const NEGATIVE: u16 = 0x4000;
const SHORT: u16 = 0x8000;
const SPECIAL: u16 = 0xC000;

/// A numeric taken apart: `digits` hold four decimal digits each, the first stands for
/// 10000 to the power of `weight`, and `scale` digits are shown after the point.
struct Parts<'a> {
    negative: bool,
    weight: i32,
    scale: usize,
    digits: &'a [u8],
}

/// Appends the text of a stored numeric (without its varlena header) to `out`, as `numeric_out`
/// prints it: all digits of its scale, `NaN`, `Infinity`, `-Infinity`. False, with `out` as it was,
/// for bytes that are no numeric.
///
/// # Errors
///
/// [`OutOfMemory`] if `out` cannot grow; a numeric may have 147,000 digits.
pub fn numeric_text(stored: &[u8], out: &mut Vec<u8>) -> Result<bool, OutOfMemory> {
    let Some((header, rest)) = split_u16(stored) else {
        return Ok(false);
    };
    let parts = match header & SIGN_MASK {
        SPECIAL => {
            let text: &[u8] = match header & 0xF000 {
                0xC000 => b"NaN",
                0xD000 => b"Infinity",
                0xF000 => b"-Infinity",
                _ => return Ok(false),
            };
            out.try_reserve(text.len()).map_err(|_| OutOfMemory)?;
            out.extend_from_slice(text);
            return Ok(true);
        }
        SHORT => Parts {
            negative: header & 0x2000 != 0,
            // Seven bits, two's complement.
            weight: i32::from(((header & 0x7F) as i8) << 1 >> 1),
            scale: usize::from(header >> 7 & 0x3F),
            digits: rest,
        },
        sign => {
            let Some((weight, digits)) = split_u16(rest) else {
                return Ok(false);
            };
            Parts {
                negative: sign == NEGATIVE,
                weight: i32::from(weight as i16),
                scale: usize::from(header & 0x3FFF),
                digits,
            }
        }
    };
    parts.write(out)?;
    Ok(true)
}

impl Parts<'_> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let whole = usize::try_from(self.weight + 1).unwrap_or(0);
        // Sign, a leading zero, the point, and a last group that is cut to the scale.
        let room = whole * 4 + self.scale + 8;
        out.try_reserve(room).map_err(|_| OutOfMemory)?;
        if self.negative {
            out.push(b'-');
        }
        if whole == 0 {
            out.push(b'0');
        }
        for place in 0..whole {
            let group = self.group(place as i32);
            if place == 0 {
                let start = group.iter().position(|digit| *digit != b'0').unwrap_or(3);
                out.extend_from_slice(&group[start..]);
            } else {
                out.extend_from_slice(&group);
            }
        }
        if self.scale > 0 {
            out.push(b'.');
            let end = out.len() + self.scale;
            let mut place = self.weight + 1;
            while out.len() < end {
                out.extend_from_slice(&self.group(place));
                place += 1;
            }
            out.truncate(end);
        }
        Ok(())
    }

    /// Four decimal digits; places before the first and after the last stored group are zero.
    #[inline]
    fn group(&self, place: i32) -> [u8; 4] {
        let stored = usize::try_from(place)
            .ok()
            .and_then(|at| self.digits.get(at * 2..at * 2 + 2));
        let value = stored.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let digit = |of: u16| b'0' + (of % 10) as u8;
        [
            digit(value / 1000),
            digit(value / 100),
            digit(value / 10),
            digit(value),
        ]
    }
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u16::from_le_bytes(*first), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(words: &[u16]) -> Option<String> {
        let stored: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut out = b"before".to_vec();
        let known = numeric_text(&stored, &mut out).expect("memory");
        assert!(out.starts_with(b"before"));
        known.then(|| String::from_utf8(out[6..].to_vec()).expect("ASCII"))
    }

    #[test]
    fn short_long_and_special_forms_are_read() {
        let short = |scale: u16, weight: u16| SHORT | scale << 7 | weight & 0x7F;
        for (words, expected) in [
            (vec![short(0, 0)], "0"),
            (vec![short(2, 0)], "0.00"),
            (vec![short(2, 0), 1, 1000], "1.10"),
            (vec![short(2, 0) | 0x2000, 12, 3400], "-12.34"),
            (vec![short(0, 1), 1, 2345], "12345"),
            (vec![short(0, 2), 1], "100000000"),
            // 0.00001: the first group stands two places after the point.
            (vec![short(5, -2_i16 as u16), 1000], "0.00001"),
            (vec![1, 0, 5, 5000], "5.5"),
            (vec![NEGATIVE | 3, 1, 1, 1, 1230], "-10001.123"),
            (vec![0xC000], "NaN"),
            (vec![0xD000], "Infinity"),
            (vec![0xF000], "-Infinity"),
        ] {
            assert_eq!(text(&words).as_deref(), Some(expected), "{words:x?}");
        }
    }

    #[test]
    fn what_is_no_numeric_is_refused() {
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[0]), None, "a long form without a weight");
        assert_eq!(
            text(&[0xE000]),
            None,
            "a special that PostgreSQL does not have"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(stored in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut out = Vec::new();
            numeric_text(&stored, &mut out).expect("memory");
            prop_assert!(out.iter().all(u8::is_ascii));
        }
    }
}
