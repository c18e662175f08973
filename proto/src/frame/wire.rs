//! Protobuf's wire format, read from a slice without copying. Source: Protocol Buffers docs,
//! "Encoding".

use super::DecodeError;

/// Scalar as a varint.
pub(crate) const VARINT: u8 = 0;
/// Eight bytes, little endian.
pub(crate) const I64: u8 = 1;
/// Length and as many bytes.
pub(crate) const LEN: u8 = 2;
/// Four bytes, little endian.
pub(crate) const I32: u8 = 5;

/// Field number and wire type in front of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    /// 1 to 2^29 - 1.
    pub field: u32,
    /// One of the constants of this module; the group types are refused.
    pub wire_type: u8,
}

/// The unread part of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are not read yet.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's tag; `None` at the end of the message.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire_type = (key & 7) as u8;
        match (u32::try_from(key >> 3), wire_type) {
            (Ok(field @ 1..=0x1FFF_FFFF), VARINT | I64 | LEN | I32) => {
                Ok(Some(Tag { field, wire_type }))
            }
            _ => Err(DecodeError::Tag(key)),
        }
    }

    /// Goes on to the value of `tag`; fails unless it is of the type that the contract gives to
    /// the field.
    #[inline]
    pub(crate) fn typed(&mut self, tag: Tag, wire_type: u8) -> Result<&mut Self, DecodeError> {
        if tag.wire_type == wire_type {
            return Ok(self);
        }
        Err(DecodeError::WireType {
            field: tag.field,
            wire_type: tag.wire_type,
        })
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match *self.rest {
            [byte @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for the 64th bit only.
            if index == 9 && byte > 1 {
                return Err(DecodeError::Varint);
            }
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < 10 {
            Err(DecodeError::Truncated)
        } else {
            Err(DecodeError::Varint)
        }
    }

    /// A varint that the contract declares as uint32 or enum.
    pub(crate) fn varint32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::Varint)
    }

    /// A signed integer in zigzag form (sint64).
    #[inline]
    pub(crate) fn zigzag(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A string field; `what` names it in the error.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8(what))
    }

    /// Steps over the value of a field that this version does not know.
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), DecodeError> {
        match tag.wire_type {
            VARINT => self.varint().map(drop),
            I64 => self.fixed64().map(drop),
            LEN => self.bytes().map(drop),
            I32 => self.fixed32().map(drop),
            other => Err(DecodeError::WireType {
                field: tag.field,
                wire_type: other,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_at_most_ten_bytes_and_64_bits() {
        let max = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        assert_eq!(Reader::new(&max).varint().unwrap(), u64::MAX);
        let mut wide = max;
        wide[9] = 0x02;
        assert!(matches!(
            Reader::new(&wide).varint(),
            Err(DecodeError::Varint)
        ));
        assert!(matches!(
            Reader::new(&[0x80; 11]).varint(),
            Err(DecodeError::Varint)
        ));
        assert!(matches!(
            Reader::new(&[0x80; 3]).varint(),
            Err(DecodeError::Truncated)
        ));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(matches!(
            Reader::new(&[3, 1, 2]).bytes(),
            Err(DecodeError::Truncated)
        ));
        assert!(matches!(
            Reader::new(&[1; 7]).fixed64(),
            Err(DecodeError::Truncated)
        ));
        assert!(matches!(
            Reader::new(&[1; 3]).fixed32(),
            Err(DecodeError::Truncated)
        ));
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        for key in [0x03, 0x04, 0x0B, 0x00] {
            assert!(
                matches!(Reader::new(&[key]).tag(), Err(DecodeError::Tag(_))),
                "{key}"
            );
        }
    }
}
