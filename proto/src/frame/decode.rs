//! Reads frames without copying values. Every length is checked, nothing recurses on data, and
//! what is allocated is about the size of the frame: bytes of any origin give events or an error.

mod change;
mod dictionary;
mod error;
mod row;

use super::{
    PROTOCOL_VERSION,
    wire::{I64, LEN, Reader, VARINT},
};
use crate::model::{Begin, Cell, Change, Commit, Event, Hello, Lsn, Message, Row};
use change::{Body, read_change, read_message};
use dictionary::Dictionary;

pub use error::DecodeError;

/// Reads the frames of one replication session: schema dictionary, open transaction and running
/// index live here. A reconnect starts a session, hence a new decoder; so does an error.
#[derive(Debug, Default)]
pub struct Decoder {
    hello: Option<Hello>,
    dictionary: Dictionary,
    transaction: Option<Transaction>,
    origin: String,
    /// The rows of the last change; their memory is used again.
    new: Vec<Cell>,
    old: Vec<Cell>,
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
    pub fn frame<'d>(&'d mut self, frame: &'d [u8]) -> FrameEvents<'d> {
        FrameEvents {
            decoder: self,
            frame,
        }
    }

    /// Reads the next event of `frame`, of which `at` bytes have been taken (0 at first, the whole
    /// length at the end), and moves `at` behind it. So a frame can be left and gone on with.
    ///
    /// # Errors
    ///
    /// The bytes break the contract, or there are none left. The decoder and the frame are of no
    /// use then.
    #[inline(always)]
    pub fn event<'a>(
        &'a mut self,
        frame: &'a [u8],
        at: &mut usize,
    ) -> Result<Event<'a>, DecodeError> {
        let mut reader = Reader::new(frame.get(*at..).unwrap_or_default());
        let event = self.field(&mut reader)?;
        *at = frame.len() - reader.len();
        Ok(event)
    }

    #[inline(always)]
    fn field<'a>(&'a mut self, reader: &mut Reader<'a>) -> Result<Event<'a>, DecodeError> {
        let tag = reader.tag()?.ok_or(DecodeError::Truncated)?;
        if tag.field > 1 && self.hello.is_none() {
            return Err(DecodeError::HelloMissing);
        }
        if tag.field > 6 {
            reader.skip(tag)?;
            return Ok(Event::Unknown);
        }
        let bytes = reader.typed(tag, LEN)?.bytes()?;
        match tag.field {
            1 => Ok(Event::Hello(self.hello_field(bytes)?)),
            2 => Ok(Event::Relation(self.dictionary.insert(bytes)?)),
            3 => Ok(Event::Begin(self.begin(bytes)?)),
            4 => self.change(bytes),
            5 => Ok(Event::Commit(self.commit(bytes)?)),
            _ => Ok(Event::Message(read_message(bytes)?)),
        }
    }

    /// Replication origin of the open or last transaction; empty: made on that server.
    pub fn origin(&self) -> &str {
        &self.origin
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
                5 => begin.commit_lsn = Lsn(reader.typed(tag, I64)?.fixed64()?),
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

    #[inline(always)]
    fn change<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        let transaction = self
            .transaction
            .as_mut()
            .ok_or(DecodeError::NotInTransaction("change"))?;
        let (skipped, body) =
            read_change(bytes, &mut self.dictionary, &mut self.new, &mut self.old)?;
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
                new,
                old,
                old_complete,
            } => Event::Change(Change {
                index,
                action,
                relation,
                new: new.map(|bytes| Row::new(&self.new, bytes)),
                old: old.map(|bytes| Row::new(&self.old, bytes)),
                old_complete,
            }),
        })
    }
}

/// The events of one frame, in wire order.
#[derive(Debug)]
pub struct FrameEvents<'d> {
    decoder: &'d mut Decoder,
    /// What of it has not been read.
    frame: &'d [u8],
}

impl FrameEvents<'_> {
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
        // After an error the frame stays empty.
        let frame = std::mem::take(&mut self.frame);
        if frame.is_empty() {
            return match self.decoder.hello {
                Some(_) => Ok(None),
                None => Err(DecodeError::HelloMissing),
            };
        }
        let mut at = 0;
        let event = self.decoder.event(frame, &mut at)?;
        self.frame = &frame[at..];
        Ok(Some(event))
    }

    /// Replication origin of the open or last transaction; empty: made on that server.
    pub fn origin(&self) -> &str {
        self.decoder.origin()
    }
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
