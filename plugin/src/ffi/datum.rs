//! What stands behind a datum that is passed by reference.

use std::{ffi::CStr, slice};

use pgrx::pg_sys::{self, Datum};

#[cfg(target_endian = "big")]
compile_error!("varlena headers are read as little-endian ones");

/// What stands behind a varlena pointer.
pub enum Varlena<'a> {
    /// The payload itself.
    Plain(&'a [u8]),
    /// Something to detoast; `raw_size` is the size of the payload then, in bytes.
    Packed { raw_size: usize },
    /// On disk, in a TOAST table: the value did not change, and decoding may not read it.
    OnDisk,
}

/// Reads the header of a varlena. Source: PostgreSQL `src/include/varatt.h`.
///
/// # Safety
///
/// `datum` is a varlena of a live tuple, valid for `'a`.
#[inline]
pub unsafe fn varlena<'a>(datum: Datum) -> Varlena<'a> {
    let start = datum.cast_mut_ptr::<u8>().cast_const();
    // SAFETY: a varlena has at least one byte of header, four where the lowest bit is unset, and as
    // many bytes as the header says.
    unsafe {
        let first = *start;
        if first & 1 == 0 {
            let header = start.cast::<u32>().read_unaligned();
            let size = (header >> 2) as usize;
            if header & 2 == 0 {
                Varlena::Plain(slice::from_raw_parts(start.add(4), size - 4))
            } else {
                let info = start.add(4).cast::<u32>().read_unaligned();
                Varlena::Packed {
                    raw_size: (info & 0x3FFF_FFFF) as usize,
                }
            }
        } else if first != 1 {
            Varlena::Plain(slice::from_raw_parts(
                start.add(1),
                (first >> 1) as usize - 1,
            ))
        } else {
            external(datum, *start.add(1))
        }
    }
}

/// # Safety
///
/// `datum` is an external varlena whose tag is `tag`.
#[cold]
unsafe fn external<'a>(datum: Datum, tag: u8) -> Varlena<'a> {
    if u32::from(tag) == pg_sys::vartag_external::VARTAG_ONDISK {
        return Varlena::OnDisk;
    }
    // The reorder buffer puts reassembled TOAST values behind indirect pointers.
    // SAFETY: the value is in memory, so its size may be read; it counts a four-byte header.
    let size = unsafe { pg_sys::toast_raw_datum_size(datum) };
    Varlena::Packed {
        raw_size: size.saturating_sub(4),
    }
}

/// The payload of a varlena, unpacked into the current memory context if need be; `None` for one
/// that is on disk.
///
/// # Safety
///
/// As for [`varlena`]; `'a` does not outlive the current memory context's next reset.
#[inline]
pub unsafe fn payload<'a>(datum: Datum) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    match unsafe { varlena(datum) } {
        Varlena::Plain(bytes) => Some(bytes),
        Varlena::OnDisk => None,
        // SAFETY: the value is in memory; the result is a plain varlena.
        Varlena::Packed { .. } => unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            match varlena(Datum::from(plain)) {
                Varlena::Plain(bytes) => Some(bytes),
                Varlena::Packed { .. } | Varlena::OnDisk => None,
            }
        },
    }
}

/// The bytes of a fixed-length value that is passed by reference.
///
/// # Safety
///
/// `datum` points at `length` bytes that are valid for `'a`.
#[inline]
pub unsafe fn fixed<'a>(datum: Datum, length: usize) -> &'a [u8] {
    // SAFETY: by contract.
    unsafe { slice::from_raw_parts(datum.cast_mut_ptr::<u8>().cast_const(), length) }
}

/// The bytes of a C string, without its NUL.
///
/// # Safety
///
/// `datum` points at a NUL-terminated string that is valid for `'a`.
pub unsafe fn c_string<'a>(datum: Datum) -> &'a [u8] {
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(datum.cast_mut_ptr()) }.to_bytes()
}
