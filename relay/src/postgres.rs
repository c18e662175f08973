//! Connections to PostgreSQL, what the server must be like, and the slot.

mod catalog;
mod check;
mod error;
mod plugin_list;
mod sentinel;
mod slot;
mod slot_status;
mod sql;
mod stream;

pub use catalog::advise;
pub use check::{Server, check};
pub use error::{PostgresError, Refusal};
pub use sentinel::Sentinel;
pub use slot::{Slot, quote_identifier};
pub use slot_status::SlotStatus;
pub use sql::Sql;
pub use stream::Stream;

use crate::config::Postgres;

/// Session settings that make values print in one way, whatever the server's defaults are.
pub const SESSION_SETTINGS: [(&str, &str); 6] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
];

/// Output plugin that the relay reads.
pub const PLUGIN: &str = "pgevents";

/// How the relay's sessions are named in `pg_stat_activity` and `pg_stat_replication`.
pub const APPLICATION_NAME: &str = "pgevents";

impl Postgres {
    /// The error for what the server refused.
    pub(crate) fn refusal(&self, sqlstate: &str, message: &str) -> PostgresError {
        PostgresError::Refused(Refusal::new(sqlstate, message, self))
    }
}
