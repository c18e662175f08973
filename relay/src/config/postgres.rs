use super::{ConfigError, Environment, certificates, given, passfile, path, secret};
use crate::{
    cli::PostgresArgs,
    secret::Secret,
    tls::{Certificates, Trust},
};

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
    /// Its password; `None`: the server must not ask for one.
    pub password: Option<Secret>,
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

/// Whether a login by password is tied to the TLS session that it travels in, so that nobody can sit
/// in between; names and meaning are libpq's `channel_binding`.
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
    /// Checks what was typed and adds what the environment and files say.
    pub(super) fn new(
        args: &PostgresArgs,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let host = given(&args.pghost).unwrap_or_else(|| "localhost".to_owned());
        let port = given(&args.pgport).unwrap_or_else(|| "5432".to_owned());
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return Err(ConfigError::Value {
                    name: "PGPORT",
                    value: port,
                    expected: "a number from 1 to 65535",
                });
            }
        };
        let user = given(&args.pguser).unwrap_or_else(|| "postgres".to_owned());
        let database = given(&args.pgdatabase).unwrap_or_else(|| user.clone());
        let authorities = args.pgsslrootcert.clone();
        let mut config = Self {
            host,
            port,
            database,
            user,
            password: secret(&args.pgpassword, &args.pgpassword_file, "PGPASSWORD_FILE")?,
            tls: tls_mode(given(&args.pgsslmode))?,
            certificates: certificates(
                &authorities.filter(|path| path.as_os_str() != "system"),
                ("PGSSLCERT", &args.pgsslcert),
                ("PGSSLKEY", &args.pgsslkey),
            )?,
            channel_binding: channel_binding(given(&args.pgchannelbinding))?,
        };
        if let (Some(trust), false) = (config.trust(), config.is_socket()) {
            let names = "PGSSLROOTCERT, PGSSLCERT and PGSSLKEY";
            let client = config.certificates.client(trust);
            client.map_err(|fault| ConfigError::Certificates(names, fault.into()))?;
        }
        if config.password.is_none() {
            config.password = passfile::lookup(&config, path(&args.pgpassfile), environment)?;
        }
        Ok(config)
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

fn tls_mode(value: Option<String>) -> Result<TlsMode, ConfigError> {
    let Some(value) = value else {
        return Ok(TlsMode::Prefer);
    };
    match value.as_str() {
        "disable" => Ok(TlsMode::Disable),
        // libpq's "allow" tries without TLS first; whoever names TLS at all gets it when offered.
        "allow" | "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(ConfigError::Value {
            name: "PGSSLMODE",
            value,
            expected: "use disable, prefer, require, verify-ca or verify-full",
        }),
    }
}

fn channel_binding(value: Option<String>) -> Result<ChannelBinding, ConfigError> {
    let Some(value) = value else {
        return Ok(ChannelBinding::Prefer);
    };
    match value.as_str() {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err(ConfigError::Value {
            name: "PGCHANNELBINDING",
            value,
            expected: "use disable, prefer or require",
        }),
    }
}
