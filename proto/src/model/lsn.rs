use std::{fmt, str::FromStr};

/// A log sequence number: a byte position in the write-ahead log.
///
/// Printed as PostgreSQL prints it, `16/B374D8`; an integer in binary formats. Only the LSNs of
/// commits are ordered across transactions; a row's LSN is neither unique nor an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// `0/0`, which PostgreSQL uses for "no position" (`InvalidXLogRecPtr`).
    pub const INVALID: Self = Self(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

/// The text is not two hexadecimal numbers of up to 32 bits with a slash between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse LSN: expected two hexadecimal numbers as in 16/B374D8")]
pub struct ParseLsnError;

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let half = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain {
                u32::from_str_radix(digits, 16).ok()
            } else {
                None
            }
        };
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        let (high, low) = (
            half(high).ok_or(ParseLsnError)?,
            half(low).ok_or(ParseLsnError)?,
        );
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_that_of_postgresql() {
        assert_eq!(Lsn(0x16_00B3_74D8).to_string(), "16/B374D8");
        assert_eq!("16/B374D8".parse(), Ok(Lsn(0x16_00B3_74D8)));
        assert_eq!("ffffffff/FFFFFFFF".parse(), Ok(Lsn(u64::MAX)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "/",
            "1/",
            "/1",
            "+1/0",
            "1/100000000",
            "1/2/3",
            "g/0",
            " 1/0",
        ] {
            assert_eq!(text.parse::<Lsn>(), Err(ParseLsnError), "{text:?}");
        }
    }
}
