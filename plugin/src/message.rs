//! A logical message, `pg_logical_emit_message()`: what of it travels.

use std::borrow::Cow;

use pgevents_proto::{OmittedReason, write_omitted};

use crate::ffi::{self, Encoding, LogicalMessage, MemoryContext};

/// The most bytes of a prefix that travel, in the encoding of the database: four times what a
/// routing key of AMQP can hold.
const LONGEST_PREFIX: usize = 1024;

impl<'a> LogicalMessage<'a> {
    /// The prefix as UTF-8, cut at a character if it is too long.
    pub fn prefix(&self) -> String {
        ffi::server_text(ffi::clip(self.prefix, LONGEST_PREFIX))
    }

    /// What is sent as its content: text as UTF-8, what is no text of the database's encoding as it
    /// is, and a marker for more than `limit` bytes. What is converted lives in `memory`.
    pub fn body<'b>(
        &self,
        encoding: Encoding,
        limit: usize,
        memory: &'b MemoryContext,
    ) -> Cow<'b, [u8]>
    where
        'a: 'b,
    {
        let mut body = self.content;
        if body.len() <= limit && encoding == Encoding::Converted && !body.is_ascii() {
            body = memory.utf8(body).unwrap_or(body);
        }
        if body.len() <= limit {
            return Cow::Borrowed(body);
        }
        let mut marker = Vec::new();
        write_omitted(OmittedReason::TooLarge, body.len() as u64, &mut marker);
        Cow::Owned(marker)
    }
}
