//! From the encoding of the database to UTF-8.

use std::{
    ffi::{CStr, c_char, c_int},
    slice,
};

use pgrx::pg_sys;

use super::{catalog::in_transaction, error::unless_error, salvage::salvage};

/// How text of this database becomes UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It is, or nobody knows what it is (SQL_ASCII): bytes are passed on.
    AsIs,
    /// PostgreSQL has a conversion.
    Converted,
}

impl Encoding {
    /// That of the database, with its name.
    pub fn of_database() -> (Self, String) {
        // SAFETY: both read the backend's state; the name is a static string.
        let (number, name) = unsafe {
            let name = CStr::from_ptr(pg_sys::GetDatabaseEncodingName());
            (
                pg_sys::GetDatabaseEncoding(),
                name.to_string_lossy().into_owned(),
            )
        };
        let as_is = number == pg_sys::pg_enc::PG_UTF8 as c_int
            || number == pg_sys::pg_enc::PG_SQL_ASCII as c_int;
        (if as_is { Self::AsIs } else { Self::Converted }, name)
    }
}

/// Converts server text to UTF-8; the result lives in the current memory context. An ERROR passes
/// as a panic (a character without a counterpart).
///
/// PostgreSQL keeps at hand only the conversion from and to the client's encoding; to find another
/// one takes a transaction, which START_REPLICATION does not have.
///
/// # Safety
///
/// The result does not outlive the current memory context's next reset.
pub unsafe fn to_utf8(text: &[u8]) -> &[u8] {
    let Ok(length) = c_int::try_from(text.len()) else {
        return text;
    };
    // SAFETY: the result is `text` itself or a NUL-terminated copy.
    unsafe {
        let start = text.as_ptr().cast::<c_char>();
        let utf8 = pg_sys::pg_enc::PG_UTF8 as c_int;
        let converted = in_transaction(|| pg_sys::pg_server_to_any(start, length, utf8));
        if converted.cast_const() == start {
            text
        } else {
            CStr::from_ptr(converted).to_bytes()
        }
    }
}

/// UTF-8 in the encoding of the database; the result lives in the current memory context. An ERROR
/// passes as a panic (a character without a counterpart).
///
/// # Safety
///
/// The result does not outlive the current memory context's next reset.
pub(super) unsafe fn from_utf8(text: &str) -> &[u8] {
    let Ok(length) = c_int::try_from(text.len()) else {
        return text.as_bytes();
    };
    // SAFETY: the result is `text` itself or a NUL-terminated copy.
    unsafe {
        let start = text.as_ptr().cast::<c_char>();
        let utf8 = pg_sys::pg_enc::PG_UTF8 as c_int;
        let converted = in_transaction(|| pg_sys::pg_any_to_server(start, length, utf8));
        if converted.cast_const() == start {
            text.as_bytes()
        } else {
            CStr::from_ptr(converted).to_bytes()
        }
    }
}

/// The text with question marks for what is not ASCII; the result lives in the current memory
/// context.
///
/// # Safety
///
/// As for [`from_utf8`].
pub(super) unsafe fn ascii(text: &str) -> &[u8] {
    // SAFETY: as many bytes are allocated as are written: one for each character, and no character
    // has less than one.
    unsafe {
        let start = pg_sys::palloc(text.len().max(1)).cast::<u8>();
        let mut length = 0;
        for character in text.chars() {
            let byte = if character.is_ascii() {
                character as u8
            } else {
                b'?'
            };
            start.add(length).write(byte);
            length += 1;
        }
        slice::from_raw_parts(start, length)
    }
}

/// A name or message of the server as UTF-8, with replacement characters for what is none. Leaves
/// nothing behind in the current memory context, which may be one that lives as long as the
/// session.
pub fn server_text(text: &[u8]) -> String {
    if text.is_ascii() || Encoding::of_database().0 == Encoding::AsIs {
        return String::from_utf8_lossy(text).into_owned();
    }
    // SAFETY: copied before it is freed, and freed only if it is not `text` itself.
    let converted = unless_error(|| unsafe {
        let converted = to_utf8(text);
        let owned = String::from_utf8_lossy(converted).into_owned();
        if converted.as_ptr() != text.as_ptr() {
            pg_sys::pfree(converted.as_ptr().cast_mut().cast());
        }
        owned
    });
    converted.unwrap_or_else(|| {
        let mut salvaged = Vec::new();
        // Names are short; for want of memory one is shown with what is ASCII in it.
        let whole = salvage(text, &mut salvaged).is_ok();
        String::from_utf8_lossy(if whole { &salvaged } else { text }).into_owned()
    })
}

/// Name of the session's client_encoding.
pub fn client_encoding() -> String {
    // SAFETY: reads the backend's state; the name is a static string.
    let name = unsafe { CStr::from_ptr(pg_sys::pg_get_client_encoding_name()) };
    name.to_string_lossy().into_owned()
}

/// Whether text from the client was most likely UTF-8 and has been read as something else, because
/// its session says so: sent back, it is UTF-8, and another text than the one that was read.
pub fn is_misread(text: &[u8]) -> bool {
    let Ok(length) = c_int::try_from(text.len()) else {
        return false;
    };
    if text.is_ascii() {
        return false;
    }
    let sent = unless_error(|| {
        // SAFETY: the result is `text` itself or a NUL-terminated copy, and copied here.
        unsafe {
            let start = text.as_ptr().cast::<c_char>();
            let sent = pg_sys::pg_server_to_client(start, length);
            if sent.cast_const() == start {
                text.to_vec()
            } else {
                CStr::from_ptr(sent).to_bytes().to_vec()
            }
        }
    });
    let sent = sent.and_then(|sent| String::from_utf8(sent).ok());
    sent.is_some_and(|sent| sent != server_text(text))
}

/// The first `limit` bytes of a server text, or fewer, so that no character is cut.
pub fn clip(text: &CStr, limit: usize) -> &[u8] {
    let bytes = text.to_bytes();
    if bytes.len() <= limit {
        return bytes;
    }
    // Only so much is looked at, and no character has more than four bytes.
    let head = &bytes[..bytes.len().min(limit + 4)];
    // SAFETY: both lengths are those of readable bytes, and the result is at most `limit`.
    let length =
        unsafe { pg_sys::pg_mbcliplen(head.as_ptr().cast(), head.len() as c_int, limit as c_int) };
    &head[..length as usize]
}

/// # Safety
///
/// `name` is NULL or NUL-terminated.
pub(super) unsafe fn owned_name(name: *const c_char) -> String {
    // SAFETY: by contract.
    server_text(unsafe { name_bytes(name) })
}

/// # Safety
///
/// `name` is NULL or NUL-terminated, and valid for `'a`.
pub(super) unsafe fn name_bytes<'a>(name: *const c_char) -> &'a [u8] {
    if name.is_null() {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(name) }.to_bytes()
}

/// Bytes behind a pointer and a length that a callback was given.
///
/// # Safety
///
/// `start` is valid for `length` bytes for `'a`, or `length` is 0.
pub unsafe fn bytes<'a>(start: *const c_char, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { slice::from_raw_parts(start.cast(), length) }
}
