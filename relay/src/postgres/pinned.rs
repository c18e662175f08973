//! The settings of a session that the relay decides, whatever the server, the database or the role
//! say: those that change a value, a plan, a message, a right or a timeout.
//!
//! A setting of a startup packet wins over `ALTER DATABASE` and `ALTER ROLE`, so nothing of theirs
//! is ever in force. Source: PostgreSQL `src/backend/utils/init/postinit.c`, InitPostgres.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Settings that every supported major has, for startup packets.
pub const PINNED: [(&str, &str); 28] = [
    // How values print.
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    // Whose functions and operators a name means, and with whose rights. The owner of a database
    // chooses its `search_path`, and could have functions of theirs called in the place of the
    // server's.
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("row_security", "on"),
    ("local_preload_libraries", ""),
    // What statements mean, and how they are run.
    ("transform_null_equals", "off"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("ignore_system_indexes", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    // What is said, and what an error does.
    ("client_min_messages", "warning"),
    ("exit_on_error", "off"),
    // How long things may take.
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("tcp_user_timeout", "0"),
    ("post_auth_delay", "0"),
];

/// Timeouts that only later majors have, with the first of them. They can end a session before its
/// first statement.
const LATER: [(u32, &str, &str); 2] = [
    (14, "idle_session_timeout", "0"),
    (17, "transaction_timeout", "0"),
];

/// The major of the server that was last logged in to, 0: none yet. It is told with the login, and
/// the next one can name more.
static MAJOR: AtomicU32 = AtomicU32::new(0);

/// Settings that not every major or not every role may set; one that is not there has no effect.
const REST: [(&str, &str); 4] = [
    ("force_parallel_mode", "off"),
    ("debug_parallel_query", "off"),
    ("logical_replication_mode", "buffered"),
    ("debug_logical_replication_streaming", "buffered"),
];

/// Messages of the server's in English where the role may have them so. Nothing is decided by their
/// text; it is for the log.
const MESSAGES: &str = "lc_messages";

/// Takes note of the version that a server gives with the login, `15.20 (Debian 15.20-1)`; says
/// whether the next login would name more settings.
pub(super) fn learn_version(version: Option<&str>) -> bool {
    let digits = version
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit());
    let major = digits
        .take(1)
        .find_map(|text| text.parse().ok())
        .unwrap_or(0);
    let before = MAJOR.swap(major, Relaxed);
    later(major).count() > later(before).count()
}

/// What the server with which the last login succeeded does not know is not named in the next one.
pub(super) fn forget_version() -> bool {
    MAJOR.swap(0, Relaxed) != 0
}

fn later<'a>(major: u32) -> impl Iterator<Item = (&'a str, &'a str)> {
    let known = LATER.iter().filter(move |(first, ..)| *first <= major);
    known.map(|(_, name, value)| (*name, *value))
}

/// What a startup packet pins: [`PINNED`], and what else the server is known to have.
pub fn startup_settings<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    PINNED.into_iter().chain(later(MAJOR.load(Relaxed)))
}

/// [`startup_settings`] as the `options` of a startup packet, for a client that has its own word
/// for the encoding.
pub fn startup_options() -> String {
    let settings = startup_settings().filter(|(name, _)| *name != "client_encoding");
    let options = settings.map(|(name, value)| {
        // A space ends an option. Source: PostgreSQL `pg_split_opts`.
        format!("-c {name}={}", value.replace(' ', "\\ "))
    });
    options.collect::<Vec<_>>().join(" ")
}

/// Statements that pin the rest, to be sent before any other: also what a pooler that sits in
/// between has kept from the startup packet. The first of them calls by its full name what it calls
/// and uses no operator, and the next are read only once it counts.
pub fn pin_rest() -> String {
    let first = "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)";
    // Those that only a startup packet sets are of another context, and `role` is not listed.
    let all = PINNED.into_iter().chain(later(u32::MAX)).chain(REST);
    let values: Vec<_> = all
        .map(|(name, value)| format!("('{name}', '{value}')"))
        .collect();
    let values = values.join(", ");
    format!(
        "{first}; SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) \
         FROM (VALUES {values}, ('{MESSAGES}', 'C')) v (name, value) \
         JOIN pg_catalog.pg_settings s ON s.name = v.name \
         WHERE s.setting <> v.value AND (s.context = 'user' OR s.context = 'superuser' \
         AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_with_a_space_stays_one_option() {
        let options = startup_options();
        assert!(options.contains("-c default_transaction_isolation=read\\ committed -c"));
        assert!(!options.contains("client_encoding"));
        assert!(options.starts_with("-c DateStyle=ISO -c"), "{options}");
    }

    #[test]
    fn a_login_names_what_the_server_of_the_last_one_knows() {
        let named = |major| later(major).map(|(name, _)| name).collect::<Vec<_>>();
        assert!(named(0).is_empty() && named(13).is_empty());
        assert_eq!(named(16), ["idle_session_timeout"]);
        assert_eq!(named(18), ["idle_session_timeout", "transaction_timeout"]);
    }

    #[test]
    fn the_search_path_is_pinned_before_anything_depends_on_it() {
        let first = "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false); ";
        assert!(pin_rest().starts_with(first));
    }
}
