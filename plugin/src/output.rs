//! How frames leave: as they are, or as the JSON events that the relay would publish.

use pgevents_proto::{
    DecodeError, Decoder, Event, EventJson, OmittedReason, OutOfMemory, write_omitted,
};
use pgrx::{PgSqlErrorCode, ereport};

use crate::ffi::{Context, Frame, MemoryContext};

/// U+FFFD
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Most bytes of an event in text. PostgreSQL has no text of 1 GiB, and a client's encoding may
/// take twice the room.
const MAX_EVENT_BYTES: usize = 512 * 1024 * 1024;

/// Capacity that is kept from event to event, in bytes.
const KEPT_BYTES: usize = 1024 * 1024;

/// The form that `format` asks for.
pub enum Output {
    /// One message a frame.
    Binary,
    /// One message an event, for people with psql: the frame is read back by the relay's own reader
    /// and shown by the relay's own writer, so that both print the same bytes.
    Json(Box<JsonOutput>),
}

/// The reader of this session's frames.
pub struct JsonOutput {
    decoder: Decoder,
    json: EventJson,
    event: Vec<u8>,
    /// For text in the encoding of the database.
    memory: MemoryContext,
}

/// Why a frame could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The plugin's own frame breaks the contract: a bug.
    #[error("read back own frame: {0}")]
    Frame(#[from] DecodeError),
    /// Raised as PostgreSQL's own out-of-memory ERROR; the next try may find memory.
    #[error("show frame as JSON: {0}")]
    OutOfMemory(#[from] OutOfMemory),
}

impl Output {
    /// Sends a frame. `last` says that nothing of this callback follows.
    #[inline]
    pub fn send(&mut self, context: Context, frame: &mut Frame, last: bool) {
        match self {
            Self::Binary => context.write_frame(frame.buffer_mut(), last),
            Self::Json(json) => {
                if let Err(error) = json.send(context, frame.bytes()) {
                    raise(&error);
                }
            }
        }
    }
}

impl JsonOutput {
    /// For one session.
    pub fn new(context: Context) -> Self {
        Self {
            decoder: Decoder::new(),
            json: EventJson::new(),
            event: Vec::new(),
            memory: context.child_memory(c"pgevents text"),
        }
    }

    fn send(&mut self, context: Context, frame: &[u8]) -> Result<(), OutputError> {
        let mut events = self.decoder.frame(frame);
        while let Some(event) = events.next()? {
            self.event.clear();
            match event {
                Event::Change(change) => {
                    self.json
                        .write_within(&change, MAX_EVENT_BYTES, &mut self.event)?;
                }
                Event::Message(message) => {
                    write_text(message.content, &mut self.event)?;
                    if self.event.len() > MAX_EVENT_BYTES {
                        self.event.clear();
                        let size = message.content.len() as u64;
                        write_omitted(OmittedReason::TooLarge, size, &mut self.event);
                    }
                }
                Event::Hello(_)
                | Event::Relation(_)
                | Event::Begin(_)
                | Event::Commit(_)
                | Event::Unknown => {
                    continue;
                }
            }
            // Both writers write UTF-8.
            let text = str::from_utf8(&self.event).unwrap_or_default();
            context.write(self.memory.server_text(text), true);
            self.memory.reset();
            if self.event.capacity() > KEPT_BYTES {
                self.event = Vec::new();
            }
        }
        Ok(())
    }
}

/// Appends bytes as text that the server takes: UTF-8 without NUL, with replacement characters.
fn write_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let mut append = |text: &[u8]| {
        out.try_reserve(text.len()).map_err(|_| OutOfMemory)?;
        out.extend_from_slice(text);
        Ok(())
    };
    for chunk in bytes.utf8_chunks() {
        for (number, part) in chunk.valid().split('\0').enumerate() {
            if number > 0 {
                append(REPLACEMENT)?;
            }
            append(part.as_bytes())?;
        }
        if !chunk.invalid().is_empty() {
            append(REPLACEMENT)?;
        }
    }
    Ok(())
}

#[cold]
fn raise(error: &OutputError) {
    let message = format!("pgevents: {error}");
    let code = match error {
        OutputError::Frame(_) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        OutputError::OutOfMemory(_) => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
    };
    ereport!(ERROR, code, message);
}
