//! Variables of libpq that are no settings of the relay. Whoever has set one expects it to do
//! something: one that would is refused, and none is passed over in silence.

use super::{ConfigError, Environment};

/// Name, the values with which the relay does what is asked for, and what to do otherwise. Source:
/// PostgreSQL docs, "Environment Variables" of libpq.
const VARIABLES: [(&str, &[&str], &str); 18] = [
    ("PGHOSTADDR", &[], "put the address into PGHOST"),
    (
        "PGSERVICE",
        &[],
        "set PGHOST, PGPORT, PGDATABASE and PGUSER, or use a file of settings (--config)",
    ),
    (
        "PGREQUIREAUTH",
        &[],
        "use PGCHANNELBINDING=require, which accepts nothing but SCRAM",
    ),
    (
        "PGSSLCRL",
        &[],
        "unset it: lists of revoked certificates are not looked at",
    ),
    (
        "PGSSLCRLDIR",
        &[],
        "unset it: lists of revoked certificates are not looked at",
    ),
    (
        "PGSSLMINPROTOCOLVERSION",
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
        "unset it: TLS 1.2 and 1.3 are spoken",
    ),
    (
        "PGSSLMAXPROTOCOLVERSION",
        &["TLSv1.3"],
        "unset it: TLS 1.2 and 1.3 are spoken",
    ),
    (
        "PGSSLNEGOTIATION",
        &["postgres"],
        "unset it: TLS is asked for in PostgreSQL's way",
    ),
    (
        "PGSSLCERTMODE",
        &["allow"],
        "unset it: a client certificate is sent if PGSSLCERT names one and the server asks",
    ),
    ("PGSSLSNI", &["1"], "unset it: the name is always sent"),
    (
        "PGSSLCOMPRESSION",
        &["0"],
        "unset it: nothing is compressed",
    ),
    ("PGREQUIRESSL", &["0"], "use PGSSLMODE=require"),
    (
        "PGREQUIREPEER",
        &[],
        "unset it: the owner of the server's process is not looked at",
    ),
    (
        "PGGSSENCMODE",
        &["disable", "prefer"],
        "use PGSSLMODE: GSSAPI is not spoken",
    ),
    (
        "PGTARGETSESSIONATTRS",
        &["any", "primary", "read-write"],
        "unset it: a slot is read on the server that PGHOST names",
    ),
    (
        "PGLOADBALANCEHOSTS",
        &["disable"],
        "unset it: PGHOST names one server",
    ),
    (
        "PGOPTIONS",
        &[],
        "unset it: the relay decides the settings of its sessions",
    ),
    (
        "PGMINPROTOCOLVERSION",
        &["3.0"],
        "unset it: version 3.0 of the protocol is spoken",
    ),
];

/// Looks at all of them.
///
/// # Errors
///
/// The first that asks for what the relay does not do. Its value is not repeated.
pub(super) fn check(environment: Environment<'_>) -> Result<(), ConfigError> {
    for (name, meant, remedy) in VARIABLES {
        match environment(name) {
            Some(value) if !meant.contains(&value.as_str()) => {
                return Err(ConfigError::Libpq { name, remedy });
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}
