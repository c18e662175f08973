//! One value: whether it changed, how large it is, and its way into the frame.

use pgevents_proto::{OmittedReason, OutOfMemory, numeric_text};
use pgrx::pg_sys::Datum;

use crate::{
    column::{Column, Form},
    ffi::{self, Encoding, Frame, Varlena},
};

/// Why a value did not get into the frame.
#[derive(Debug)]
pub enum ValueError {
    /// The frame buffer could not grow; raised as an ERROR.
    OutOfMemory,
    /// It is kept back; the row is written again with a marker in its place.
    Omitted(OmittedReason, u64),
}

impl From<OutOfMemory> for ValueError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// Whether the new row has only a pointer to a value that did not change and is not in the WAL.
#[inline]
pub fn is_unchanged_toast(column: &Column, datum: Datum) -> bool {
    // SAFETY: a column of length -1 that is not NULL holds a varlena.
    column.length == -1 && matches!(unsafe { ffi::varlena(datum) }, Varlena::OnDisk)
}

/// Size in bytes that the value takes once it is unpacked; 0 for types of fixed size.
#[inline]
pub fn raw_size(column: &Column, datum: Datum) -> usize {
    if column.length != -1 {
        return 0;
    }
    // SAFETY: as above.
    match unsafe { ffi::varlena(datum) } {
        Varlena::Plain(bytes) => bytes.len(),
        Varlena::Packed { raw_size } => raw_size,
        Varlena::OnDisk => 0,
    }
}

/// Whether two values of a column, neither NULL, have the same image: the same bytes once unpacked.
/// That is stricter than SQL `=`, and right: numeric 1.0 and 1.00 are shown differently.
#[inline]
pub fn same_image(column: &Column, a: Datum, b: Datum) -> bool {
    if column.by_value {
        return a == b;
    }
    // SAFETY: both are values of this column; what is unpacked lives in the row's memory.
    unsafe {
        match column.length {
            -1 => same_varlena(a, b),
            -2 => ffi::c_string(a) == ffi::c_string(b),
            length => ffi::fixed(a, length as usize) == ffi::fixed(b, length as usize),
        }
    }
}

/// # Safety
///
/// Both are varlenas of live tuples.
#[inline]
unsafe fn same_varlena(a: Datum, b: Datum) -> bool {
    // SAFETY: by contract.
    match unsafe { (ffi::varlena(a), ffi::varlena(b)) } {
        (Varlena::Plain(a), Varlena::Plain(b)) => a == b,
        (Varlena::OnDisk, _) | (_, Varlena::OnDisk) => false,
        (Varlena::Plain(bytes), Varlena::Packed { raw_size })
        | (Varlena::Packed { raw_size }, Varlena::Plain(bytes))
            if bytes.len() != raw_size =>
        {
            false
        }
        (Varlena::Packed { raw_size: a }, Varlena::Packed { raw_size: b }) if a != b => false,
        // A failed unpacking (broken compression) counts as a change.
        // SAFETY: by contract.
        _ => ffi::unless_error(|| unsafe { ffi::same_payload(a, b) }).unwrap_or(false),
    }
}

/// What a value may take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The most bytes of the value.
    pub value: usize,
    /// Length of the frame that it may not pass.
    pub frame: usize,
}

impl Room {
    #[inline]
    fn fits(self, bytes: usize, frame: &Frame) -> Result<(), ValueError> {
        if bytes <= self.value && frame.len() + bytes <= self.frame {
            return Ok(());
        }
        Err(ValueError::Omitted(OmittedReason::TooLarge, bytes as u64))
    }
}

/// Writes a value that is not NULL and in the WAL.
#[inline]
pub fn write(
    column: &mut Column,
    datum: Datum,
    encoding: Encoding,
    room: Room,
    frame: &mut Frame,
) -> Result<(), ValueError> {
    let bits = datum.value();
    match &mut column.form {
        Form::Bool => frame.integer(i64::from(bits as u8 != 0))?,
        Form::Int2 => frame.integer(i64::from(bits as i16))?,
        Form::Int4 | Form::Date => frame.integer(i64::from(bits as i32))?,
        Form::Int8 => frame.integer(bits as i64)?,
        Form::Micros => frame.micros(bits as i64)?,
        Form::Float4 => frame.float4(f32::from_bits(bits as u32))?,
        Form::Float8 => frame.float8(f64::from_bits(bits as u64))?,
        // SAFETY: a uuid is 16 bytes by reference.
        Form::Uuid => frame.value_bytes(unsafe { ffi::fixed(datum, 16) })?,
        Form::Varlena { text } => {
            let text = *text;
            // SAFETY: a varlena of a live tuple.
            match unsafe { ffi::varlena(datum) } {
                Varlena::Plain(bytes) if !text || encoding == Encoding::AsIs => {
                    room.fits(bytes.len(), frame)?;
                    frame.value_bytes(bytes)?;
                }
                _ => write_converted(datum, text && encoding == Encoding::Converted, room, frame)?,
            }
        }
        Form::Numeric(text) => {
            text.clear();
            // SAFETY: a numeric is a varlena of a live tuple.
            let stored = ffi::unless_error(|| unsafe { ffi::payload(datum) }).flatten();
            if !numeric_text(stored.unwrap_or_default(), text)? {
                return Err(ValueError::Omitted(OmittedReason::Unreadable, 0));
            }
            room.fits(text.len(), frame)?;
            frame.value_bytes(text)?;
        }
        Form::Output(function) => {
            let output = ffi::unless_error(|| {
                // SAFETY: it was looked up for the type of this column, and returns a C string.
                unsafe { ffi::c_string(function.call(datum)) }
            });
            write_output(output, encoding, room, frame)?;
        }
        Form::Json(function) => {
            // SAFETY: likewise; it returns a text.
            let output = ffi::unless_error(|| unsafe { ffi::payload(function.call(datum)) });
            write_output(output.flatten(), encoding, room, frame)?;
        }
        Form::Unreadable => return Err(ValueError::Omitted(OmittedReason::Unreadable, 0)),
    }
    Ok(())
}

#[cold]
fn write_converted(
    datum: Datum,
    convert: bool,
    room: Room,
    frame: &mut Frame,
) -> Result<(), ValueError> {
    // SAFETY: a varlena of a live tuple; what is unpacked lives in the row's memory.
    let payload = ffi::unless_error(|| unsafe { ffi::payload(datum) }).flatten();
    let encoding = if convert {
        Encoding::Converted
    } else {
        Encoding::AsIs
    };
    write_output(payload, encoding, room, frame)
}

#[inline]
fn write_output(
    output: Option<&[u8]>,
    encoding: Encoding,
    room: Room,
    frame: &mut Frame,
) -> Result<(), ValueError> {
    let unreadable = ValueError::Omitted(OmittedReason::Unreadable, 0);
    let Some(mut text) = output else {
        return Err(unreadable);
    };
    // Every server encoding contains ASCII.
    let mut salvaged = Vec::new();
    if encoding == Encoding::Converted && !text.is_ascii() {
        // SAFETY: the result lives in the row's memory.
        match ffi::unless_error(|| unsafe { ffi::to_utf8(text) }) {
            Some(converted) => text = converted,
            None => {
                room.fits(text.len(), frame)?;
                ffi::salvage(text, &mut salvaged)?;
                text = &salvaged;
            }
        }
    }
    room.fits(text.len(), frame)?;
    Ok(frame.value_bytes(text)?)
}
