use super::{ConfigError, Environment, certificates, given, passfile, path, secret};
use crate::{
    postgres::{ChannelBinding, Postgres, TlsMode},
    settings::flags::PostgresArgs,
};

/// Checks what was typed and adds what the environment and files say.
pub(super) fn postgres(
    args: &PostgresArgs,
    environment: Environment<'_>,
) -> Result<Postgres, ConfigError> {
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
    let mut config = Postgres {
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
