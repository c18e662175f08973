//! Settings of the backend that the text of a value depends on.

use std::{
    env,
    ffi::{CStr, c_char, c_int},
};

use pgrx::pg_sys;

unsafe extern "C" {
    /// `utils/bytea.h`, which pgrx does not bind: format of bytea text, 1 is hex.
    static mut bytea_output: c_int;
    /// `utils/pg_locale.h`, likewise: the setting `lc_monetary`.
    static mut locale_monetary: *mut c_char;
}

/// Settings with state behind them, which only the server's own way may change: what `regclass` and
/// its kin print depends on the first, what `money` prints on the second.
const WITH_STATE: [(&CStr, &CStr); 2] = [(c"search_path", c"pg_catalog"), (c"lc_monetary", c"C")];

/// The settings that text forms depend on, pinned to the documented ones while it lives, so that
/// neither postgresql.conf nor the session that decodes changes an event.
pub struct PinnedSettings {
    date_style: c_int,
    interval_style: c_int,
    extra_float_digits: c_int,
    bytea_output: c_int,
    quote_all_identifiers: bool,
    time_zone: *mut pg_sys::pg_tz,
    /// Where the server keeps what [`WITH_STATE`] was; `None`: it is as it should be, as in a
    /// session of the relay.
    nest_level: Option<c_int>,
}

impl PinnedSettings {
    /// Pins them; `utc` comes from [`utc`].
    #[inline]
    pub fn pin(utc: TimeZone) -> Self {
        // SAFETY: these variables are the backend's own, and this is its only thread; the values
        // are ones that the settings themselves may have. Drop restores them, also when an ERROR
        // unwinds.
        unsafe {
            let before = Self {
                date_style: pg_sys::DateStyle,
                interval_style: pg_sys::IntervalStyle,
                extra_float_digits: pg_sys::extra_float_digits,
                bytea_output,
                quote_all_identifiers: pg_sys::quote_all_identifiers,
                time_zone: pg_sys::session_timezone,
                nest_level: (!state_is_pinned()).then(pin_state),
            };
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as c_int;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_POSTGRES as c_int;
            pg_sys::extra_float_digits = 1;
            bytea_output = 1;
            pg_sys::quote_all_identifiers = false;
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
            pg_sys::quote_all_identifiers = self.quote_all_identifiers;
            pg_sys::session_timezone = self.time_zone;
        }
        if let Some(nest_level) = self.nest_level {
            // SAFETY: the level that `pin_state` opened. What was saved comes back either way.
            unsafe { pg_sys::AtEOXact_GUC(true, nest_level) };
        }
    }
}

#[inline]
fn state_is_pinned() -> bool {
    let is = |value: *const c_char, wanted: &CStr| {
        // SAFETY: the value of a setting is NULL or a C string.
        !value.is_null() && unsafe { CStr::from_ptr(value) } == wanted
    };
    // SAFETY: variables of this backend, which has one thread.
    let (path, money) = unsafe { (pg_sys::namespace_search_path, locale_monetary) };
    is(path, WITH_STATE[0].1) && is(money, WITH_STATE[1].1)
}

#[cold]
fn pin_state() -> c_int {
    // SAFETY: a transaction is open while rows are decoded, so that settings can be saved.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in WITH_STATE {
        // SAFETY: C strings; both settings are any user's to change, and the values are always
        // valid ones. Source: PostgreSQL `fmgr_security_definer`, which does the same.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
    level
}

/// A time zone of the backend, which caches them for its whole life.
#[derive(Clone, Copy)]
pub struct TimeZone(*mut pg_sys::pg_tz);

/// UTC.
pub fn utc() -> TimeZone {
    // SAFETY: GMT is built into PostgreSQL, so the result is never NULL.
    TimeZone(unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) })
}

/// Keeps Rust from collecting backtraces for the ERRORs that are raised here, whatever
/// RUST_BACKTRACE the server was started with. A backtrace reads the whole library, and where
/// memory is short it hangs this process for ever: the failed allocation waits for a lock that the
/// backtrace holds. RUST_LIB_BACKTRACE, which somebody may set on purpose, is left alone.
pub fn without_backtraces() {
    const NAME: &str = "RUST_LIB_BACKTRACE";
    if env::var_os(NAME).is_none() {
        // SAFETY: a server process has one thread.
        unsafe { env::set_var(NAME, "0") }
    }
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
