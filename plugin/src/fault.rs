//! Faults on purpose, for tests: a panic or an ERROR at the n-th time that a place is reached.
//!
//! Only the feature `faults` has them, which no build that ships turns on. The custom setting
//! `pgevents.fault` says which: `change:3:panic` or `output:1:error`.

/// Comes to grief here if the setting says so.
#[inline(always)]
pub fn reach(place: &str) {
    #[cfg(feature = "faults")]
    armed::reach(place);
    #[cfg(not(feature = "faults"))]
    let _ = place;
}

#[cfg(feature = "faults")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use pgrx::{PgSqlErrorCode, ereport};

    use crate::ffi;

    static REACHED: AtomicU64 = AtomicU64::new(0);

    pub fn reach(place: &str) {
        let Some(fault) = ffi::setting(c"pgevents.fault") else {
            return;
        };
        if place == "startup" {
            REACHED.store(0, Ordering::Relaxed);
        }
        let parts: Vec<&str> = fault.split(':').collect();
        let &[wanted, nth, kind] = parts.as_slice() else {
            return;
        };
        if wanted != place
            || REACHED.fetch_add(1, Ordering::Relaxed) + 1 != nth.parse().unwrap_or(0)
        {
            return;
        }
        match kind {
            "panic" => panic!("pgevents: panic on purpose at {fault}"),
            _ => {
                let message = format!("pgevents: error on purpose at {fault}");
                ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
            }
        }
    }
}
