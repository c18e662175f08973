use std::{fs, io, net::Ipv6Addr, os::unix::fs::MetadataExt, path::PathBuf};

use super::{ConfigError, Environment, certificates, given, libpq, path};
use crate::{
    postgres::{ChannelBinding, Password, Postgres, TlsMode},
    settings::flags::PostgresArgs,
};

/// Checks what was typed and adds what the environment and files say.
pub(super) fn postgres(
    args: &PostgresArgs,
    environment: Environment<'_>,
) -> Result<Postgres, ConfigError> {
    libpq::check(environment)?;
    let host = host(given(&args.pghost).unwrap_or_else(|| "localhost".to_owned()))?;
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
    // As libpq has it: whoever trusts all authorities of the system has to look at the name.
    let system = path(&args.pgsslrootcert).is_some_and(|path| path.as_os_str() == "system");
    let authorities = args.pgsslrootcert.clone().filter(|_| !system);
    let config = Postgres {
        host,
        port,
        database,
        user,
        password: password(args, environment),
        tls: tls_mode(given(&args.pgsslmode), system)?,
        certificates: certificates(
            &authorities,
            ("PGSSLCERT", &args.pgsslcert),
            ("PGSSLKEY", &args.pgsslkey),
        )?,
        channel_binding: channel_binding(given(&args.pgchannelbinding))?,
    };
    if let Some(key) = path(&args.pgsslkey) {
        check_key(key)?;
    }
    if let (Some(trust), false) = (config.trust(), config.is_socket()) {
        let names = "PGSSLROOTCERT, PGSSLCERT and PGSSLKEY";
        let client = config.certificates.client(trust);
        client.map_err(|fault| ConfigError::Certificates(names, fault.into()))?;
    }
    let read = config.read_password();
    read.map_err(|(path, source)| ConfigError::File {
        name: match config.password {
            Password::File(_) => "PGPASSWORD_FILE",
            _ => "PGPASSFILE",
        },
        path,
        source,
    })?;
    Ok(config)
}

/// Where the password comes from: given, else a file of its own, else a file of passwords.
fn password(args: &PostgresArgs, environment: Environment<'_>) -> Password {
    let given = args.pgpassword.as_ref();
    if let Some(given) = given.filter(|secret| !secret.reveal().is_empty()) {
        return Password::Given(given.clone());
    }
    if let Some(path) = path(&args.pgpassword_file) {
        return Password::File(path);
    }
    match (path(&args.pgpassfile), environment("HOME")) {
        (Some(path), _) => Password::Passfile { path, named: true },
        (None, Some(home)) => Password::Passfile {
            path: PathBuf::from(home).join(".pgpass"),
            named: false,
        },
        (None, None) => Password::None,
    }
}

/// One host, as libpq has it. What is something else may hold a password and is not repeated.
fn host(value: String) -> Result<String, ConfigError> {
    let expected = match value.as_str() {
        text if text.contains("://") || text.contains('@') => {
            "it is a URL: name the host alone, and use PGPORT, PGUSER, PGDATABASE and PGPASSWORD"
        }
        text if text.contains(',') && !text.starts_with('/') => "it has several hosts: name one",
        text if text.contains(char::is_whitespace) && !text.starts_with('/') => {
            "it has blanks: name a host, an address, or the folder of a Unix socket"
        }
        // As in URLs; libpq wants it without.
        text => match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            Some(address) if address.parse::<Ipv6Addr>().is_ok() => return Ok(address.to_owned()),
            _ => return Ok(value),
        },
    };
    Err(ConfigError::NotShown {
        name: "PGHOST",
        expected,
    })
}

fn tls_mode(value: Option<String>, system: bool) -> Result<TlsMode, ConfigError> {
    let value = match (value, system) {
        (Some(value), true) if value != "verify-full" => {
            return Err(ConfigError::Value {
                name: "PGSSLMODE",
                value,
                expected: "with PGSSLROOTCERT=system it has to be verify-full, or not be set",
            });
        }
        (_, true) => return Ok(TlsMode::VerifyFull),
        (None, false) => return Ok(TlsMode::Prefer),
        (Some(value), false) => value,
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

/// A key that others may read is refused. Source of the rule: PostgreSQL
/// `src/interfaces/libpq/fe-secure-openssl.c`: root's file may be readable by its group.
fn check_key(path: PathBuf) -> Result<(), ConfigError> {
    let fault = match fs::metadata(&path) {
        Ok(file) => {
            let others = if file.uid() == 0 { 0o037 } else { 0o077 };
            let exposed = file.mode() & others != 0;
            let says = "others may read it; run chmod 0600";
            exposed.then(|| io::Error::new(io::ErrorKind::PermissionDenied, says))
        }
        // Whoever opens it says so.
        Err(_) => None,
    };
    match fault {
        Some(source) => Err(ConfigError::File {
            name: "PGSSLKEY",
            path,
            source,
        }),
        None => Ok(()),
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
