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
    // SAFETY: by contract.
    match unsafe { in_place(start) } {
        Some(varlena) => varlena,
        // SAFETY: it is external, so its tag follows the first byte.
        None => unsafe { external(datum, *start.add(1)) },
    }
}

/// Reads a varlena that holds its own value; `None` for one that is external.
///
/// # Safety
///
/// As for [`varlena`], with the varlena at `start`.
#[inline]
unsafe fn in_place<'a>(start: *const u8) -> Option<Varlena<'a>> {
    // SAFETY: a varlena has at least one byte of header, four where the lowest bit is unset, and as
    // many bytes as the header says.
    unsafe {
        let first = *start;
        if first & 1 == 0 {
            let header = start.cast::<u32>().read_unaligned();
            let size = (header >> 2) as usize;
            Some(if header & 2 == 0 {
                Varlena::Plain(slice::from_raw_parts(start.add(4), size - 4))
            } else {
                let info = start.add(4).cast::<u32>().read_unaligned();
                Varlena::Packed {
                    raw_size: (info & 0x3FFF_FFFF) as usize,
                }
            })
        } else if first != 1 {
            let size = (first >> 1) as usize;
            Some(Varlena::Plain(slice::from_raw_parts(
                start.add(1),
                size - 1,
            )))
        } else {
            None
        }
    }
}

/// # Safety
///
/// `datum` is an external varlena whose tag is `tag`.
#[cold]
unsafe fn external<'a>(datum: Datum, tag: u8) -> Varlena<'a> {
    match u32::from(tag) {
        pg_sys::vartag_external::VARTAG_ONDISK => return Varlena::OnDisk,
        // The reorder buffer puts reassembled TOAST values behind indirect pointers: they can be
        // read where they stand, and large ones are the last that should be copied for it.
        pg_sys::vartag_external::VARTAG_INDIRECT => {
            // SAFETY: the address of a varlena that lives as long as the tuple follows the two
            // bytes of header and tag (`varatt_indirect`).
            let target = unsafe {
                let address = datum.cast_mut_ptr::<u8>().add(2);
                in_place(address.cast::<*const u8>().read_unaligned())
            };
            if let Some(varlena) = target {
                return varlena;
            }
        }
        _ => {}
    }
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

/// Whether two varlenas, not both plain, have the same payload. What is unpacked for it is freed at
/// once: a row may have several values of hundreds of megabytes.
///
/// # Safety
///
/// Both are varlenas of live tuples.
pub unsafe fn same_payload(a: Datum, b: Datum) -> bool {
    // SAFETY: by contract.
    unsafe {
        if let (Some(a), Some(b)) = (compressed(a), compressed(b))
            && a == b
        {
            return true;
        }
        let (a, b) = (Unpacked::of(a), Unpacked::of(b));
        a.payload() == b.payload()
    }
}

/// The stored form of a varlena that is compressed within its tuple.
///
/// # Safety
///
/// As for [`varlena`].
unsafe fn compressed<'a>(datum: Datum) -> Option<&'a [u8]> {
    let start = datum.cast_mut_ptr::<u8>().cast_const();
    // SAFETY: such a varlena has a header of four bytes, and as many bytes as that says.
    unsafe {
        (*start & 3 == 2).then(|| {
            let size = (start.cast::<u32>().read_unaligned() >> 2) as usize;
            slice::from_raw_parts(start, size)
        })
    }
}

/// A varlena that is unpacked for a moment.
struct Unpacked {
    start: *mut pg_sys::varlena,
    copied: bool,
}

impl Unpacked {
    /// # Safety
    ///
    /// As for [`varlena`], and it is not on disk.
    unsafe fn of(datum: Datum) -> Self {
        let original = datum.cast_mut_ptr();
        // SAFETY: the value is in memory; the result is a plain varlena, itself or a copy.
        let start = unsafe { pg_sys::pg_detoast_datum_packed(original) };
        Self {
            start,
            copied: start != original,
        }
    }

    fn payload(&self) -> Option<&[u8]> {
        // SAFETY: it is a plain varlena and lives as long as `self`.
        match unsafe { varlena(Datum::from(self.start)) } {
            Varlena::Plain(bytes) => Some(bytes),
            Varlena::Packed { .. } | Varlena::OnDisk => None,
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if self.copied {
            // SAFETY: it was allocated by `of` and is used by nobody else.
            unsafe { pg_sys::pfree(self.start.cast()) }
        }
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
