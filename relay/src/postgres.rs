//! Connections to PostgreSQL, what the server must be like, and the slot.

mod catalog;
mod check;
mod error;
mod passfile;
mod password;
mod pinned;
mod plugin_list;
mod sentinel;
mod settings;
mod slot;
mod slot_status;
mod sql;
mod stream;

pub use catalog::{Misnamed, NameFault, misnamed};
pub use check::{Server, check};
pub use error::{PostgresError, Refusal};
pub use password::Password;
pub use pinned::{PINNED, pin_rest, startup_options, startup_settings};
pub use sentinel::Sentinel;
pub use settings::{ChannelBinding, Postgres, SlotTarget, TlsMode};
pub use slot::{Slot, quote_identifier};
pub use slot_status::SlotStatus;
pub use sql::Sql;
pub use stream::Stream;

/// Output plugin that the relay reads.
pub const PLUGIN: &str = "pgevents";

/// How the relay's sessions are named in `pg_stat_activity` and `pg_stat_replication`.
pub const APPLICATION_NAME: &str = "pgevents";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tls::Certificates;

    /// Settings of a server that no test connects to.
    pub(crate) fn settings() -> Postgres {
        Postgres {
            host: "localhost".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "postgres".to_owned(),
            password: Password::None,
            tls: TlsMode::Prefer,
            certificates: Certificates::default(),
            channel_binding: ChannelBinding::Prefer,
        }
    }
}
