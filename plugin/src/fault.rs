//! Faults on purpose, for tests: a panic or an ERROR at the n-th time that a place is reached, a
//! damaged frame, a lost row.
//!
//! Only the features `faults` and `mutant-lose-copied-row` have them, which no build that ships turns
//! on. With `faults`, the custom setting `pgevents.fault` says which: `change:3:panic`,
//! `output:1:error`, or `frame:2:damage` for the second frame.

use crate::ffi::RowChange;

/// Comes to grief here if the setting says so.
#[inline(always)]
pub fn reach(place: &str) {
    #[cfg(feature = "faults")]
    armed::reach(place);
    #[cfg(not(feature = "faults"))]
    let _ = place;
}

/// What goes out instead of a frame, if the setting says so: the frame without its last byte.
#[inline(always)]
pub fn damaged(frame: &[u8]) -> Option<&[u8]> {
    #[cfg(feature = "faults")]
    return armed::due("frame").map(|_| &frame[..frame.len() - 1]);
    #[cfg(not(feature = "faults"))]
    {
        let _ = frame;
        None
    }
}

/// Whether the row is left out, as by a reader that takes rows at one position for one row: it is the
/// last of several that a COPY has written at once.
#[inline(always)]
pub fn loses(change: RowChange<'_>) -> bool {
    #[cfg(feature = "mutant-lose-copied-row")]
    return lossy::loses(change);
    #[cfg(not(feature = "mutant-lose-copied-row"))]
    {
        let _ = change;
        false
    }
}

#[cfg(feature = "mutant-lose-copied-row")]
mod lossy {
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::ffi::RowChange;

    static BEFORE: AtomicU64 = AtomicU64::new(0);

    pub fn loses(change: RowChange<'_>) -> bool {
        let before = BEFORE.swap(change.lsn().0, Ordering::Relaxed);
        change.ends_record() && change.lsn().0 == before
    }
}

#[cfg(feature = "faults")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use pgrx::{PgSqlErrorCode, ereport};

    use crate::ffi;

    static REACHED: AtomicU64 = AtomicU64::new(0);

    pub fn reach(place: &str) {
        if place == "startup" {
            REACHED.store(0, Ordering::Relaxed);
        }
        match due(place).as_deref() {
            None => {}
            Some(fault) if fault.ends_with(":panic") => {
                panic!("pgevents: panic on purpose at {fault}")
            }
            Some(fault) => {
                let message = format!("pgevents: error on purpose at {fault}");
                ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
            }
        }
    }

    /// The setting, if it means this place at this time.
    pub fn due(place: &str) -> Option<String> {
        let fault = ffi::setting(c"pgevents.fault")?;
        let parts: Vec<&str> = fault.split(':').collect();
        let &[wanted, nth, _] = parts.as_slice() else {
            return None;
        };
        let due = wanted == place
            && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == nth.parse().unwrap_or(0);
        due.then(|| fault.to_string())
    }
}
