//! Text that cannot be converted as a whole.

use std::ffi::c_int;

use pgevents_proto::OutOfMemory;
use pgrx::pg_sys::{self, Oid};

use super::{catalog::in_transaction, error::check_for_interrupts};

/// Stands for what is no character of the database's encoding, or has no counterpart in UTF-8.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Most bytes that are converted in one step.
const STEP: usize = 16 * 1024;

/// What a byte can become at most, and a NUL behind it all. Source: PostgreSQL
/// `src/include/mb/pg_wchar.h`, MAX_CONVERSION_GROWTH.
const GROWN: usize = 4 * STEP + 5;

/// Appends `text`, which is of the database's encoding but for some bytes, as UTF-8, with a
/// replacement character for each byte that cannot be converted.
///
/// # Errors
///
/// There is no memory for it; `out` then has the beginning.
pub fn salvage(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let mut room = Vec::new();
    room.try_reserve_exact(GROWN).map_err(|_| OutOfMemory)?;
    room.resize(GROWN, 0);
    let converter = Converter::to_utf8();
    while !text.is_empty() {
        check_for_interrupts();
        let step = &text[..text.len().min(STEP)];
        let (taken, written) = converter.convert(step, &mut room);
        let (converted, taken) = match taken {
            0 => (REPLACEMENT, 1),
            taken => (&room[..written], taken),
        };
        out.try_reserve(converted.len()).map_err(|_| OutOfMemory)?;
        out.extend_from_slice(converted);
        text = &text[taken..];
    }
    Ok(())
}

/// The server's conversion from the database's encoding to UTF-8.
struct Converter {
    function: Oid,
    from: c_int,
}

impl Converter {
    fn to_utf8() -> Self {
        // SAFETY: reads the backend's state, and looks the function up in the catalog.
        unsafe {
            let from = pg_sys::GetDatabaseEncoding();
            let utf8 = pg_sys::pg_enc::PG_UTF8 as c_int;
            let function = in_transaction(|| pg_sys::FindDefaultConversionProc(from, utf8));
            Self { function, from }
        }
    }

    /// Converts as much of the beginning of `text` as there is; says how many bytes that was, and
    /// how many it became.
    #[cfg(not(feature = "pg13"))]
    fn convert(&self, text: &[u8], room: &mut [u8]) -> (usize, usize) {
        if self.function == Oid::INVALID {
            return (0, 0);
        }
        // SAFETY: the room is four times the text and more, which is all that a conversion may
        // need; it reads `text` and ends what it writes with a NUL.
        let taken = in_transaction(|| unsafe {
            pg_sys::pg_do_encoding_conversion_buf(
                self.function,
                self.from,
                pg_sys::pg_enc::PG_UTF8 as c_int,
                text.as_ptr().cast_mut(),
                text.len() as c_int,
                room.as_mut_ptr(),
                room.len() as c_int,
                true,
            )
        });
        let taken = usize::try_from(taken).unwrap_or(0).min(text.len());
        (taken, length_of_text(room))
    }

    /// The same one character at a time: this major cannot be asked to stop without an ERROR.
    #[cfg(feature = "pg13")]
    fn convert(&self, text: &[u8], room: &mut [u8]) -> (usize, usize) {
        // SAFETY: the text is not empty, and the encoding is the database's; what is too long is
        // cut.
        let length = unsafe { pg_sys::pg_encoding_mblen(self.from, text.as_ptr().cast()) };
        let Some(character) = usize::try_from(length).ok().and_then(|n| text.get(..n)) else {
            return (0, 0);
        };
        if self.function == Oid::INVALID || character.is_empty() {
            return (0, 0);
        }
        let converted = super::error::unless_error(|| {
            // SAFETY: as above, for one character.
            in_transaction(|| unsafe {
                pg_sys::OidFunctionCall5Coll(
                    self.function,
                    Oid::INVALID,
                    pg_sys::Datum::from(self.from),
                    pg_sys::Datum::from(pg_sys::pg_enc::PG_UTF8 as c_int),
                    pg_sys::Datum::from(character.as_ptr()),
                    pg_sys::Datum::from(room.as_mut_ptr()),
                    pg_sys::Datum::from(character.len() as c_int),
                )
            })
        });
        match converted {
            Some(_) => (character.len(), length_of_text(room)),
            None => (0, 0),
        }
    }
}

/// Bytes before the first NUL.
fn length_of_text(room: &[u8]) -> usize {
    room.iter()
        .position(|&byte| byte == 0)
        .unwrap_or(room.len())
}
