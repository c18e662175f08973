use crate::{
    Action, DecodeError, Lsn, RelationEntry, Row, Value,
    decode::{dictionary::Dictionary, row::read_row},
    wire::{I64, LEN, Reader, VARINT},
};

/// One change of one row, or the TRUNCATE of one table.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Position in the transaction, from 0, counting what filters kept back.
    pub index: u64,
    /// What happened; never [`Action::Message`].
    pub action: Action,
    /// The table.
    pub relation: &'a RelationEntry,
    /// The new row of INSERT and UPDATE. [`Value::Absent`]: an unchanged TOAST value that nothing
    /// in the WAL holds.
    pub new: Option<Row<'a>>,
    /// What the wire carries of the old row. UPDATE under FULL: the columns that differ, the others
    /// equal `new`. UPDATE under KEY: the key columns, `None` where they equal those of `new`.
    /// DELETE: the whole row (FULL) or the key columns.
    pub old: Option<Row<'a>>,
    /// Every column of the old row is known, from `old` alone (DELETE) or together with `new`.
    pub old_complete: bool,
}

/// A logical message, `pg_logical_emit_message()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Position in its transaction; `None`: it is outside any and counts from its `lsn` alone.
    pub index: Option<u64>,
    /// Prefix as given; with `pgevents:` the rest is the routing key.
    pub prefix: &'a str,
    /// Content as given, any bytes; a marker in its place where it was too large.
    pub content: &'a [u8],
    /// Position after the message in the WAL.
    pub lsn: Lsn,
}

/// A change with the values that it carries, before it knows its index.
pub(super) enum Body<'a> {
    Row {
        action: Action,
        relation: &'a RelationEntry,
        new: bool,
        old: bool,
        old_complete: bool,
    },
    Message(Message<'a>),
}

/// Reads a `Change` message; its rows go to `new` and `old`. Returns the skipped changes with it.
pub(super) fn read_change<'a, 'd: 'a>(
    bytes: &'d [u8],
    dictionary: &'a mut Dictionary,
    new: &mut Vec<Value<'d>>,
    old: &mut Vec<Value<'d>>,
) -> Result<(u64, Body<'a>), DecodeError> {
    let mut reader = Reader::new(bytes);
    let (mut skipped, mut number, mut relation, mut old_complete) = (0, 0, 0, false);
    let (mut has_new, mut has_old, mut message) = (false, false, None);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => skipped = reader.typed(tag, VARINT)?.varint()?,
            2 => number = reader.typed(tag, VARINT)?.varint()?,
            3 => relation = reader.typed(tag, VARINT)?.varint32()?,
            4 | 5 => {
                let (seen, row) = if tag.field == 4 {
                    (&mut has_new, &mut *new)
                } else {
                    (&mut has_old, &mut *old)
                };
                if std::mem::replace(seen, true) {
                    return Err(DecodeError::Shape(action(number)?));
                }
                let bytes = reader.typed(tag, LEN)?.bytes()?;
                read_row(bytes, dictionary.get(relation)?, row)?;
            }
            6 => old_complete = reader.typed(tag, VARINT)?.varint()? != 0,
            7 => message = Some(read_message(reader.typed(tag, LEN)?.bytes()?)?),
            _ => reader.skip(tag)?,
        }
    }
    let action = action(number)?;
    let fits = match action {
        Action::Insert => has_new && !has_old && message.is_none(),
        Action::Update => has_new && message.is_none(),
        Action::Delete => !has_new && message.is_none(),
        Action::Truncate => !has_new && !has_old && message.is_none(),
        Action::Message => !has_new && !has_old && relation == 0,
    };
    match (fits, action, message) {
        (false, ..) | (true, Action::Message, None) => Err(DecodeError::Shape(action)),
        (true, Action::Message, Some(message)) => Ok((skipped, Body::Message(message))),
        (true, ..) => {
            let relation = dictionary.get(relation)?;
            let (new, old) = (has_new, has_old);
            Ok((
                skipped,
                Body::Row {
                    action,
                    relation,
                    new,
                    old,
                    old_complete,
                },
            ))
        }
    }
}

fn action(number: u64) -> Result<Action, DecodeError> {
    Action::from_wire(number).ok_or(DecodeError::Enum {
        what: "action",
        number,
    })
}

/// Reads a `Message` message, without an index.
pub(super) fn read_message(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut message = Message {
        index: None,
        prefix: "",
        content: &[],
        lsn: Lsn::INVALID,
    };
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => message.prefix = reader.typed(tag, LEN)?.text("message prefix")?,
            2 => message.content = reader.typed(tag, LEN)?.bytes()?,
            3 => message.lsn = Lsn(reader.typed(tag, I64)?.fixed64()?),
            _ => reader.skip(tag)?,
        }
    }
    Ok(message)
}
