use crate::{
    frame::{
        DecodeError,
        decode::{dictionary::Dictionary, row::read_row},
        wire::{I64, LEN, Reader, VARINT},
    },
    model::{Action, Cell, Lsn, Message, RelationEntry},
};

/// A change with the values that it carries, before it knows its index.
pub(super) enum Body<'a> {
    Row {
        action: Action,
        relation: &'a RelationEntry,
        /// The bytes that the cells of each row stand in.
        new: Option<&'a [u8]>,
        old: Option<&'a [u8]>,
        old_complete: bool,
    },
    Message(Message<'a>),
}

/// Reads a `Change` message; the cells of its rows go to `new` and `old`. Returns the skipped
/// changes with it.
pub(super) fn read_change<'a, 'd: 'a>(
    bytes: &'d [u8],
    dictionary: &'a mut Dictionary,
    new: &mut Vec<Cell>,
    old: &mut Vec<Cell>,
) -> Result<(u64, Body<'a>), DecodeError> {
    let mut reader = Reader::new(bytes);
    let (mut skipped, mut number, mut relation, mut old_complete) = (0, 0, 0, false);
    let (mut new_bytes, mut old_bytes, mut message) = (None, None, None);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => skipped = reader.typed(tag, VARINT)?.varint()?,
            2 => number = reader.typed(tag, VARINT)?.varint()?,
            3 => relation = reader.typed(tag, VARINT)?.varint32()?,
            4 | 5 => {
                let (seen, row) = if tag.field == 4 {
                    (&mut new_bytes, &mut *new)
                } else {
                    (&mut old_bytes, &mut *old)
                };
                let bytes = reader.typed(tag, LEN)?.bytes()?;
                if seen.replace(bytes).is_some() {
                    return Err(DecodeError::Shape(action(number)?));
                }
                read_row(bytes, dictionary.get(relation)?, row)?;
            }
            6 => old_complete = reader.typed(tag, VARINT)?.varint()? != 0,
            7 => message = Some(read_message(reader.typed(tag, LEN)?.bytes()?)?),
            _ => reader.skip(tag)?,
        }
    }
    let action = action(number)?;
    let (has_new, has_old) = (new_bytes.is_some(), old_bytes.is_some());
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
            let (new, old) = (new_bytes, old_bytes);
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
