use std::{fmt, io, time::Duration};

use super::{Postgres, plugin_list, quote_identifier};
use crate::{
    exit::{Exit, Fate},
    tls::TlsError,
};

/// Why something with PostgreSQL did not work. [`PostgresError::fate`] says what happens next.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Nobody answers; try again.
    #[error(
        "connect to PostgreSQL at {address} (check PGHOST and PGPORT, and that the server runs)"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server offers no TLS, or one side does not accept the other's certificate; stop, as it
    /// will not change by itself.
    #[error(
        "start TLS with PostgreSQL at {address} (check PGSSLMODE, PGSSLROOTCERT, PGSSLCERT and \
         PGSSLKEY)"
    )]
    Tls {
        /// Where.
        address: String,
        /// Why.
        source: Box<TlsError>,
    },
    /// A running connection broke; reconnect.
    #[error("keep the connection to PostgreSQL")]
    Lost(#[source] io::Error),
    /// The server said no; some reasons pass, some do not.
    #[error("{0}")]
    Refused(Refusal),
    /// The server is a standby that has not been promoted; try again, as an address may lead there
    /// for a while.
    #[error(
        "start on a standby server: it is in recovery (let PGHOST lead to the primary, or promote it)"
    )]
    Standby,
    /// The server sent what its protocol does not allow here; reconnect.
    #[error("understand PostgreSQL: {0}")]
    Protocol(String),
}

/// What the server refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The server's words, with the remedy; one line.
    text: String,
    /// What the relay does about it.
    fate: Fate,
    /// Whether the server said that it shuts down or has not started up.
    closed: bool,
}

const SLOT_LOST: &str = "the slot is lost, changes are missing; drop it, start anew, and raise \
                         max_slot_wal_keep_size";

impl PostgresError {
    /// What the relay does about it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Unreachable { .. } | Self::Lost(_) | Self::Protocol(_) | Self::Standby => {
                Fate::Retry
            }
            Self::Tls { .. } => Fate::Stop(Exit::Configuration),
            Self::Refused(refusal) => refusal.fate,
        }
    }

    /// Whether the server said that it takes no sessions: it shuts down, or starts up.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.closed)
    }

    /// Nobody has answered for so long.
    pub(crate) fn silent(limit: Duration) -> Self {
        let text = format!("no answer within {} seconds", limit.as_secs());
        Self::Lost(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// A connection that broke, or whose TLS the server refused after the handshake.
    pub(crate) fn broken(error: io::Error, config: &Postgres) -> Self {
        match TlsError::among(&error) {
            Some(source) => Self::Tls {
                address: config.address(),
                source: source.into(),
            },
            None => Self::Lost(error),
        }
    }

    /// A login that is not tied to the TLS session it travels in, though that is asked for.
    pub(crate) fn unbound() -> Self {
        let text = "the login is not bound to its TLS channel: PGCHANNELBINDING=require needs TLS, \
                    scram-sha-256 in pg_hba.conf, and a password stored as such";
        Self::stop(Exit::Configuration, text)
    }

    /// A refusal of the relay's own.
    pub(crate) fn stop(exit: Exit, text: impl Into<String>) -> Self {
        Self::Refused(Refusal {
            text: text.into(),
            fate: Fate::Stop(exit),
            closed: false,
        })
    }
}

impl Refusal {
    /// Source of the codes: PostgreSQL docs, "PostgreSQL Error Codes"; the texts are those of
    /// PostgreSQL 13 to 18 with `lc_messages` untranslated, and only tell apart what has one code.
    pub(crate) fn new(sqlstate: &str, message: &str, config: &Postgres) -> Self {
        let known = of_login(sqlstate, message, config)
            .or_else(|| of_plugin(sqlstate, message))
            .or_else(|| of_slot(sqlstate, message))
            .or_else(|| of_limit(sqlstate, config));
        let (remedy, fate) = match known {
            Some((remedy, fate)) => (format!(": {remedy}"), fate),
            None => (String::new(), Fate::Retry),
        };
        Self {
            text: format!("{}{remedy}", said(sqlstate, message)),
            fate,
            // admin_shutdown, crash_shutdown, cannot_connect_now
            closed: matches!(sqlstate, "57P01" | "57P02" | "57P03"),
        }
    }
}

/// What mends a refusal, and what the relay does until it is mended; `None`: it passes by itself.
type Known = Option<(String, Fate)>;

const CONFIGURATION: Fate = Fate::Stop(Exit::Configuration);

/// Of the role, its password, its rights, and the database.
fn of_login(sqlstate: &str, message: &str, config: &Postgres) -> Known {
    let user = quote_identifier(&config.user);
    let remedy = match sqlstate {
        // The same code and words where a client certificate is for another role.
        "28P01" if config.certificates.identity.is_some() => format!(
            "set PGPASSWORD, PGPASSWORD_FILE or ~/.pgpass, and use a client certificate whose \
             common name is {user}"
        ),
        "28P01" => "set PGPASSWORD, PGPASSWORD_FILE or ~/.pgpass".to_owned(),
        "28000" if message.contains("client certificate") => {
            "set PGSSLCERT and PGSSLKEY".to_owned()
        }
        "28000" => format!("check PGUSER, CREATE ROLE {user} LOGIN REPLICATION, and pg_hba.conf"),
        "3D000" => "set PGDATABASE to a database that exists".to_owned(),
        "42501" if plugin_list::is_refusal(message) => plugin_list::remedy(),
        "42501" => format!("run: ALTER ROLE {user} REPLICATION;"),
        _ => return None,
    };
    Some((remedy, CONFIGURATION))
}

/// Of the library, its version and its options.
fn of_plugin(sqlstate: &str, message: &str) -> Known {
    let (remedy, fate) = match sqlstate {
        // PostgreSQL gives these no code of their own.
        _ if is_of_another_major(message) => (
            "install the pgevents.so that was built for this server's major version",
            Fate::Stop(Exit::Version),
        ),
        "22023" if message.contains("unknown option \"protocol-version\"") => (
            "the plugin on the server is older than this relay: install the plugin of this release \
             first",
            Fate::Stop(Exit::Version),
        ),
        "0A000" if message.contains("protocol versions") => (
            "the plugin on the server is newer than this relay: install the relay of its release",
            Fate::Stop(Exit::Version),
        ),
        "58P01" if message.contains("\"pgevents\"") => (
            "install the output plugin on the database server: copy pgevents.so to the folder that \
             `pg_config --pkglibdir` prints",
            CONFIGURATION,
        ),
        _ => return None,
    };
    Some((remedy.to_owned(), fate))
}

/// Of the slot.
fn of_slot(sqlstate: &str, message: &str) -> Known {
    let (remedy, fate) = match sqlstate {
        // "requested WAL segment ... has already been removed"
        "58P01" if message.contains("WAL segment") => (SLOT_LOST, Fate::Stop(Exit::SlotLost)),
        "42710" => ("somebody else has just made it", Fate::Wait),
        "42704" => (
            "the slot is gone and with it the place to go on from",
            Fate::Stop(Exit::SlotMissing),
        ),
        "55006" => ("waiting for it to be free", Fate::Wait),
        "55000" if is_lost(message) => (SLOT_LOST, Fate::Stop(Exit::SlotLost)),
        "55000" => (
            "set wal_level = logical and restart the server, or use a slot of this database",
            CONFIGURATION,
        ),
        _ => return None,
    };
    Some((remedy.to_owned(), fate))
}

/// Of the server's limits; and of what it does not understand, mostly an option.
fn of_limit(sqlstate: &str, config: &Postgres) -> Known {
    let (remedy, fate) = match sqlstate {
        "53400" => (
            "raise max_replication_slots and restart the server, or drop an unused slot (SELECT \
             slot_name, active FROM pg_replication_slots)"
                .to_owned(),
            CONFIGURATION,
        ),
        "53300" => (
            format!(
                "raise max_wal_senders or max_connections and restart the server, or the CONNECTION \
                 LIMIT of role {} or of the database, if they have one",
                quote_identifier(&config.user)
            ),
            Fate::Retry,
        ),
        // Data exception, syntax error or access rule, feature not supported.
        _ if ["22", "42", "0A"].contains(&sqlstate.get(..2).unwrap_or_default()) => (
            "check the options of the plugin and its version".to_owned(),
            CONFIGURATION,
        ),
        _ => return None,
    };
    Some((remedy, fate))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn said(sqlstate: &str, message: &str) -> String {
    let line = message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    format!("PostgreSQL refuses ({sqlstate}): {line}")
}

/// Whether the server could not take a library since it was built for another major version: by its
/// magic block, or since it calls a function that this server does not have.
fn is_of_another_major(message: &str) -> bool {
    message.starts_with("incompatible library")
        || (message.starts_with("could not load library") && message.contains("undefined symbol"))
}

fn is_lost(message: &str) -> bool {
    message.contains("can no longer get changes from replication slot")
        || message.contains("can no longer access replication slot")
        || message.contains("invalidated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        postgres::{ChannelBinding, Password, TlsMode},
        tls::Certificates,
    };

    fn check(sqlstate: &str, message: &str, fate: Fate, remedy: &str) {
        let config = Postgres {
            host: "h".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "re\"lay".to_owned(),
            password: Password::None,
            tls: TlsMode::Disable,
            certificates: Certificates::default(),
            channel_binding: ChannelBinding::Prefer,
        };
        let refusal = Refusal::new(sqlstate, message, &config);
        assert_eq!(refusal.fate, fate, "{sqlstate} {message}");
        assert!(refusal.text.contains(remedy), "{}", refusal.text);
        assert_eq!(refusal.text.lines().count(), 1);
    }

    #[test]
    fn refusals_name_cause_and_remedy() {
        let stop = Fate::Stop(Exit::Configuration);
        check(
            "28P01",
            "password authentication failed",
            stop,
            "PGPASSWORD",
        );
        check(
            "28000",
            "connection requires a valid client certificate",
            stop,
            "PGSSLCERT",
        );
        check(
            "3D000",
            "database \"shop\" does not exist",
            stop,
            "PGDATABASE",
        );
        check(
            "42501",
            "must be replication role",
            stop,
            "ALTER ROLE \"re\"\"lay\" REPLICATION",
        );
        check(
            "58P01",
            "could not access file \"pgevents\"",
            stop,
            "pg_config --pkglibdir",
        );
        check(
            "53400",
            "all replication slots are in use",
            stop,
            "max_replication_slots",
        );
        check(
            "55000",
            "logical decoding requires wal_level >= logical",
            stop,
            "wal_level",
        );
        check("22023", "unknown option \"x\"", stop, "options");
        check(
            "22023",
            "pgevents: unknown option \"protocol-version\". Known options: actions.",
            Fate::Stop(Exit::Version),
            "install the plugin",
        );
        check(
            "0A000",
            "pgevents: this plugin speaks protocol versions 3 to 4, the reader knows 2 and older.",
            Fate::Stop(Exit::Version),
            "install the relay",
        );
        check(
            "XX000",
            "incompatible library \"/lib/pgevents.so\": version mismatch",
            Fate::Stop(Exit::Version),
            "this server's major version",
        );
        check(
            "58P01",
            "could not load library \"/lib/pgevents.so\": /lib/pgevents.so: undefined symbol: x",
            Fate::Stop(Exit::Version),
            "this server's major version",
        );
    }

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        check(
            "57P03",
            "the database system is starting up",
            Fate::Retry,
            "starting up",
        );
        check(
            "57P01",
            "terminating connection\nmore",
            Fate::Retry,
            "terminating",
        );
        check(
            "55006",
            "replication slot \"s\" is active for PID 7",
            Fate::Wait,
            "PID 7",
        );
        check("", "", Fate::Retry, "refuses");
    }

    #[test]
    fn a_lost_slot_is_told_from_a_wrong_wal_level() {
        let lost = "can no longer get changes from replication slot \"s\"";
        check(
            "55000",
            lost,
            Fate::Stop(Exit::SlotLost),
            "max_slot_wal_keep_size",
        );
        check(
            "58P01",
            "requested WAL segment 00000001000000A3000000FE has already been removed",
            Fate::Stop(Exit::SlotLost),
            "max_slot_wal_keep_size",
        );
    }

    #[test]
    fn a_file_that_the_server_misses_for_itself_is_waited_for() {
        let missing = "could not access file \"$libdir/postgis-3\": No such file or directory";
        check("58P01", missing, Fate::Retry, "postgis-3");
    }
}
