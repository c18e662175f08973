//! Settings of the backend that the text of a value depends on.

use std::{
    env,
    ffi::{CStr, c_int},
};

use pgrx::pg_sys;

unsafe extern "C" {
    /// `utils/bytea.h`, which pgrx does not bind: format of bytea text, 1 is hex.
    static mut bytea_output: c_int;
}

/// The settings that text forms depend on, pinned to the documented ones while it lives, so that
/// neither postgresql.conf nor the session that decodes changes an event.
pub struct PinnedSettings {
    date_style: c_int,
    interval_style: c_int,
    extra_float_digits: c_int,
    bytea_output: c_int,
    time_zone: *mut pg_sys::pg_tz,
}

impl PinnedSettings {
    /// Pins them; `utc` comes from [`utc`].
    #[inline]
    pub fn pin(utc: TimeZone) -> Self {
        // SAFETY: these variables are the backend's own, and this is its only thread; the values are
        // ones that the settings themselves may have. Drop restores them, also when an ERROR unwinds.
        unsafe {
            let before = Self {
                date_style: pg_sys::DateStyle,
                interval_style: pg_sys::IntervalStyle,
                extra_float_digits: pg_sys::extra_float_digits,
                bytea_output,
                time_zone: pg_sys::session_timezone,
            };
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as c_int;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_POSTGRES as c_int;
            pg_sys::extra_float_digits = 1;
            bytea_output = 1;
            pg_sys::session_timezone = utc.0;
            before
        }
    }
}

impl Drop for PinnedSettings {
    fn drop(&mut self) {
        // SAFETY: as in `pin`.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.extra_float_digits;
            bytea_output = self.bytea_output;
            pg_sys::session_timezone = self.time_zone;
        }
    }
}

/// A time zone of the backend, which caches them for its whole life.
#[derive(Clone, Copy)]
pub struct TimeZone(*mut pg_sys::pg_tz);

/// UTC.
pub fn utc() -> TimeZone {
    // SAFETY: GMT is built into PostgreSQL, so the result is never NULL.
    TimeZone(unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) })
}

/// Keeps Rust from collecting backtraces for the ERRORs that are raised here, whatever RUST_BACKTRACE
/// the server was started with. A backtrace reads the whole library, and where memory is short it hangs
/// this process for ever: the failed allocation waits for a lock that the backtrace holds.
/// RUST_LIB_BACKTRACE, which somebody may set on purpose, is left alone.
pub fn without_backtraces() {
    const NAME: &str = "RUST_LIB_BACKTRACE";
    if env::var_os(NAME).is_none() {
        // SAFETY: a server process has one thread.
        unsafe { env::set_var(NAME, "0") }
    }
}

/// A setting of this session by name; `None` where nobody has set it.
#[cfg(feature = "faults")]
pub fn setting(name: &CStr) -> Option<String> {
    // SAFETY: with missing_ok the result is NULL or a string that stays until the setting changes.
    let value = unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value))
    };
    value.map(|value| value.to_string_lossy().into_owned())
}

/// `PG_VERSION_NUM` of the server that this runs in, and that it was built for.
pub fn server_version_num() -> (u32, u32) {
    // SAFETY: a setting that always exists; the result is a static or palloc'd string.
    let running = unsafe {
        CStr::from_ptr(pg_sys::GetConfigOption(
            c"server_version_num".as_ptr(),
            false,
            false,
        ))
    };
    let running = running
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    (running, pg_sys::PG_VERSION_NUM)
}
