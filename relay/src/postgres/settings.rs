use super::{Password, PostgresError, Refusal};
use crate::tls::{Certificates, Trust};

/// How to reach PostgreSQL.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Host name, address, or absolute path of the socket's folder.
    pub host: String,
    /// TCP port, also part of the socket's name.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role.
    pub user: String,
    /// Where its password comes from.
    pub password: Password,
    /// What TLS is asked of the server.
    pub tls: TlsMode,
    /// For TLS.
    pub certificates: Certificates,
    /// Whether the login has to be tied to the TLS session.
    pub channel_binding: ChannelBinding,
}

/// What TLS is asked of the server; names and meaning are libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it; its certificate is not checked.
    Prefer,
    /// TLS; the certificate is checked against the authorities only if a file of them is given.
    Require,
    /// TLS with a certificate of a known authority, for whatever name.
    VerifyCa,
    /// TLS with a certificate of a known authority for this host.
    VerifyFull,
}

/// Whether a login by password is tied to the TLS session that it travels in, so that nobody can
/// sit in between; names and meaning are libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it.
    Prefer,
    /// Always; a login without it is given up before the password is used.
    Require,
}

impl TlsMode {
    /// The name as in PGSSLMODE.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl Postgres {
    /// The error for what the server refused.
    pub(crate) fn refusal(&self, sqlstate: &str, message: &str) -> PostgresError {
        PostgresError::Refused(Refusal::new(sqlstate, message, self))
    }

    /// How much of the server's certificate is checked; `None`: there is to be no TLS.
    pub fn trust(&self) -> Option<Trust> {
        match self.tls {
            TlsMode::Disable => None,
            TlsMode::VerifyFull => Some(Trust::Host),
            TlsMode::VerifyCa => Some(Trust::Authority),
            // As libpq does it: with a file of authorities, `require` checks against them.
            TlsMode::Require if self.certificates.authorities.is_some() => Some(Trust::Authority),
            TlsMode::Require | TlsMode::Prefer => Some(Trust::Anyone),
        }
    }

    /// Whether the host is the folder of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Where the server is, for messages: `host:port` or the path of the socket.
    pub fn address(&self) -> String {
        match self.is_socket() {
            true => format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A replication slot and the server that has it.
#[derive(Clone, Debug)]
pub struct SlotTarget {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Slot, `^[a-z0-9_]{1,63}$`.
    pub slot: String,
}
