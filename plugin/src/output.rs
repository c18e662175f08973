//! How frames leave: as they are, or as the JSON events that the relay would publish.

use pgevents_proto::{DecodeError, Decoder, Event, EventJson};
use pgrx::{PgSqlErrorCode, ereport};

use crate::{
    fault,
    ffi::{Context, from_utf8},
};

/// U+FFFD
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// The form that `format` asks for.
pub enum Output {
    /// One message a frame.
    Binary,
    /// One message an event, for people with psql: the frame is read back by the relay's own reader
    /// and shown by the relay's own writer, so that both print the same bytes.
    Json(Box<JsonOutput>),
}

/// The reader of this session's frames.
#[derive(Default)]
pub struct JsonOutput {
    decoder: Decoder,
    json: EventJson,
    event: Vec<u8>,
}

impl Output {
    /// Sends a frame. `last` says that nothing of this callback follows.
    #[inline]
    pub fn send(&mut self, context: Context, frame: &[u8], last: bool) {
        fault::reach("send");
        match self {
            Self::Binary => context.write(frame, last),
            Self::Json(json) => {
                if let Err(error) = json.send(context, frame) {
                    let message = format!("pgevents: read back own frame: {error}");
                    ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
                }
            }
        }
    }
}

/// Appends bytes as text that the server takes: UTF-8 without NUL, with replacement characters.
fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for (number, part) in chunk.valid().split('\0').enumerate() {
            if number > 0 {
                out.extend_from_slice(REPLACEMENT);
            }
            out.extend_from_slice(part.as_bytes());
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT);
        }
    }
}

impl JsonOutput {
    fn send(&mut self, context: Context, frame: &[u8]) -> Result<(), DecodeError> {
        let mut events = self.decoder.frame(frame);
        while let Some(event) = events.next()? {
            self.event.clear();
            match event {
                Event::Change(change) => self.json.write(&change, &mut self.event),
                Event::Message(message) => write_text(message.content, &mut self.event),
                Event::Hello(_) | Event::Relation(_) | Event::Begin(_) | Event::Commit(_) => {
                    continue;
                }
            }
            let text = String::from_utf8_lossy(&self.event);
            context.write(&from_utf8(&text), true);
        }
        Ok(())
    }
}
