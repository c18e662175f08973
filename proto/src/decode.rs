//! Reads frames without copying values. Every length is checked, nothing recurses on data, and
//! what is allocated is about the size of the frame: bytes of any origin give events or an error.

mod change;
mod dictionary;
mod error;
mod row;

use crate::{
    Begin, Commit, Hello, Lsn, PROTOCOL_VERSION,
    wire::{I64, LEN, Reader, VARINT},
};
use change::{Body, read_change, read_message};
use dictionary::Dictionary;

pub use change::{Change, Message};
pub use dictionary::RelationEntry;
pub use error::DecodeError;
pub use row::{Row, Value};

/// What one field of a frame says.
#[derive(Debug)]
pub enum Event<'a> {
    /// The session's self-description; first in its first frame and nowhere else.
    Hello(&'a Hello),
    /// A new entry of the schema dictionary.
    Relation(&'a RelationEntry),
    /// A transaction starts; its origin is [`FrameEvents::origin`].
    Begin(Begin),
    /// A row change, or a TRUNCATE.
    Change(Change<'a>),
    /// A logical message, in a transaction or outside any.
    Message(Message<'a>),
    /// The open transaction is complete.
    Commit(Commit),
}

/// Reads the frames of one replication session: schema dictionary, open transaction and running
/// index live here. A reconnect starts a session, hence a new decoder; so does an error.
#[derive(Debug, Default)]
pub struct Decoder {
    hello: Option<Hello>,
    dictionary: Dictionary,
    transaction: Option<Transaction>,
    origin: String,
    /// Room for the rows of a change, kept from frame to frame.
    new: Vec<Value<'static>>,
    old: Vec<Value<'static>>,
}

#[derive(Clone, Copy, Debug)]
struct Transaction {
    end_lsn: Lsn,
    /// Index of the next change if none before it is skipped.
    next_index: u64,
}

impl Decoder {
    /// A decoder for one session.
    pub fn new() -> Self {
        Self::default()
    }

    /// The session's self-description; `None` before its first frame.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Reads one frame: the payload of one XLogData message. The events have to be taken to the
    /// end, as later frames build on them.
    pub fn frame<'d>(&'d mut self, bytes: &'d [u8]) -> FrameEvents<'d> {
        let (new, old) = (recycle(&mut self.new), recycle(&mut self.old));
        FrameEvents {
            decoder: self,
            frame: Reader::new(bytes),
            new,
            old,
        }
    }

    fn hello_field(&mut self, bytes: &[u8]) -> Result<&Hello, DecodeError> {
        if self.hello.is_some() {
            return Err(DecodeError::HelloRepeated);
        }
        Ok(self.hello.insert(read_hello(bytes)?))
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<Begin, DecodeError> {
        if let Some(transaction) = self.transaction {
            return Err(DecodeError::BeginNested(transaction.end_lsn));
        }
        let mut reader = Reader::new(bytes);
        let mut begin = Begin::default();
        self.origin.clear();
        while let Some(tag) = reader.tag()? {
            match tag.field {
                1 => begin.end_lsn = Lsn(reader.typed(tag, I64)?.fixed64()?),
                2 => begin.commit_time = reader.typed(tag, I64)?.fixed64()? as i64,
                3 => begin.xid = reader.typed(tag, VARINT)?.varint32()?,
                4 => {
                    self.origin.clear();
                    self.origin
                        .push_str(reader.typed(tag, LEN)?.text("origin name")?);
                }
                _ => reader.skip(tag)?,
            }
        }
        self.transaction = Some(Transaction {
            end_lsn: begin.end_lsn,
            next_index: 0,
        });
        Ok(begin)
    }

    fn commit(&mut self, bytes: &[u8]) -> Result<Commit, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut commit = Commit::default();
        while let Some(tag) = reader.tag()? {
            match tag.field {
                1 => commit.end_lsn = Lsn(reader.typed(tag, I64)?.fixed64()?),
                2 => commit.filtered_rows = reader.typed(tag, VARINT)?.varint()?,
                3 => commit.noop_rows = reader.typed(tag, VARINT)?.varint()?,
                _ => reader.skip(tag)?,
            }
        }
        let begin = self
            .transaction
            .take()
            .ok_or(DecodeError::NotInTransaction("commit"))?
            .end_lsn;
        if commit.end_lsn != begin {
            return Err(DecodeError::CommitMismatch {
                begin,
                commit: commit.end_lsn,
            });
        }
        Ok(commit)
    }
}

/// The events of one frame, in wire order.
#[derive(Debug)]
pub struct FrameEvents<'d> {
    decoder: &'d mut Decoder,
    frame: Reader<'d>,
    new: Vec<Value<'d>>,
    old: Vec<Value<'d>>,
}

impl<'d> FrameEvents<'d> {
    /// The next event; `None` at the end of the frame.
    ///
    /// # Errors
    ///
    /// The bytes break the contract. The decoder is of no use then, and the frame gives no more.
    #[expect(
        clippy::should_implement_trait,
        reason = "events borrow from the decoder"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, DecodeError> {
        let (field, bytes) = match self.next_field() {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.frame = Reader::new(&[]);
                return Err(error);
            }
        };
        let frame = std::mem::replace(&mut self.frame, Reader::new(&[]));
        let Self {
            decoder,
            frame: rest,
            new,
            old,
        } = self;
        let event = match field {
            Field::Hello => Event::Hello(decoder.hello_field(bytes)?),
            Field::Relation => Event::Relation(decoder.dictionary.insert(bytes)?),
            Field::Begin => Event::Begin(decoder.begin(bytes)?),
            Field::Change => read_event(decoder, bytes, new, old)?,
            Field::Commit => Event::Commit(decoder.commit(bytes)?),
            Field::Message => Event::Message(read_message(bytes)?),
        };
        // Only now: after an error the frame stays empty.
        *rest = frame;
        Ok(Some(event))
    }

    /// Replication origin of the open or last transaction; empty: made on that server.
    pub fn origin(&self) -> &str {
        &self.decoder.origin
    }

    /// Steps over unknown fields to the next known one.
    fn next_field(&mut self) -> Result<Option<(Field, &'d [u8])>, DecodeError> {
        while let Some(tag) = self.frame.tag()? {
            let field = match tag.field {
                1 => Field::Hello,
                _ if self.decoder.hello.is_none() => return Err(DecodeError::HelloMissing),
                2 => Field::Relation,
                3 => Field::Begin,
                4 => Field::Change,
                5 => Field::Commit,
                6 => Field::Message,
                _ => {
                    self.frame.skip(tag)?;
                    continue;
                }
            };
            return Ok(Some((field, self.frame.typed(tag, LEN)?.bytes()?)));
        }
        match self.decoder.hello {
            Some(_) => Ok(None),
            None => Err(DecodeError::HelloMissing),
        }
    }
}

impl Drop for FrameEvents<'_> {
    fn drop(&mut self) {
        self.decoder.new = recycle(&mut self.new);
        self.decoder.old = recycle(&mut self.old);
    }
}

/// A field of `Frame`.
#[derive(Clone, Copy)]
enum Field {
    Hello,
    Relation,
    Begin,
    Change,
    Commit,
    Message,
}

fn read_event<'a, 'd: 'a>(
    decoder: &'a mut Decoder,
    bytes: &'d [u8],
    new: &'a mut Vec<Value<'d>>,
    old: &'a mut Vec<Value<'d>>,
) -> Result<Event<'a>, DecodeError> {
    let transaction = decoder
        .transaction
        .as_mut()
        .ok_or(DecodeError::NotInTransaction("change"))?;
    let (skipped, body) = read_change(bytes, &mut decoder.dictionary, new, old)?;
    let index = transaction
        .next_index
        .checked_add(skipped)
        .ok_or(DecodeError::IndexOverflow)?;
    transaction.next_index = index.checked_add(1).ok_or(DecodeError::IndexOverflow)?;
    Ok(match body {
        Body::Message(message) => Event::Message(Message {
            index: Some(index),
            ..message
        }),
        Body::Row {
            action,
            relation,
            new: has_new,
            old: has_old,
            old_complete,
        } => {
            let new = has_new.then_some(Row(new));
            let old = has_old.then_some(Row(old));
            Event::Change(Change {
                index,
                action,
                relation,
                new,
                old,
                old_complete,
            })
        }
    })
}

fn read_hello(bytes: &[u8]) -> Result<Hello, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut hello = Hello::default();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                hello.protocol_version = reader.typed(tag, VARINT)?.varint32()?;
                // Before the rest is read: another version may give other types to its fields.
                check_version(hello.protocol_version)?;
            }
            2 => hello.plugin_version = reader.typed(tag, LEN)?.text("plugin version")?.to_owned(),
            3 => hello.server_version_num = reader.typed(tag, VARINT)?.varint32()?,
            4 => hello.database_encoding = reader.typed(tag, LEN)?.text("encoding")?.to_owned(),
            5 => hello
                .options
                .push(reader.typed(tag, LEN)?.text("option")?.to_owned()),
            _ => reader.skip(tag)?,
        }
    }
    check_version(hello.protocol_version)?;
    Ok(hello)
}

fn check_version(version: u32) -> Result<(), DecodeError> {
    if version == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(DecodeError::Version(version))
    }
}

/// The vector's memory for values of another frame: collecting in place keeps the allocation.
fn recycle<'b>(values: &mut Vec<Value<'_>>) -> Vec<Value<'b>> {
    let mut values = std::mem::take(values);
    values.clear();
    values.into_iter().map(|_| Value::Absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_rows_is_kept_from_frame_to_frame() {
        let mut values = vec![Value::Null; 1000];
        let room = values.as_ptr();
        let recycled = recycle(&mut values);
        assert_eq!((recycled.as_ptr(), recycled.len()), (room, 0));
        assert_eq!(recycled.capacity(), 1000);
    }
}
