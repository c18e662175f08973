use std::path::PathBuf;

use clap::Args;

use crate::secret::Secret;

/// How to reach PostgreSQL.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "PostgreSQL")]
pub struct PostgresArgs {
    /// Host name, address, or folder of the Unix socket [default: localhost]
    #[arg(long, alias = "pg_host", env = "PGHOST", value_name = "HOST")]
    pub pghost: Option<String>,
    /// TCP port, 1 to 65535 [default: 5432]
    #[arg(long, alias = "pg_port", env = "PGPORT", value_name = "PORT")]
    pub pgport: Option<String>,
    /// Database [default: the user's name]
    #[arg(long, alias = "pg_database", env = "PGDATABASE", value_name = "NAME")]
    pub pgdatabase: Option<String>,
    /// Role with LOGIN and REPLICATION [default: postgres]
    #[arg(long, alias = "pg_user", env = "PGUSER", value_name = "ROLE")]
    pub pguser: Option<String>,
    /// Its password. A flag can be read in the list of processes: better use the variable, a file
    /// (--pgpassword-file), or ~/.pgpass
    #[arg(
        long,
        alias = "pg_password",
        env = "PGPASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub pgpassword: Option<Secret>,
    /// File whose first line is the password [default: none]
    #[arg(long, env = "PGPASSWORD_FILE", value_name = "FILE")]
    pub pgpassword_file: Option<PathBuf>,
    /// File of passwords as libpq has it, which others may not read [default: ~/.pgpass]
    #[arg(long, env = "PGPASSFILE", value_name = "FILE")]
    pub pgpassfile: Option<PathBuf>,
    /// disable, prefer, require, verify-ca or verify-full [default: prefer]
    #[arg(long, env = "PGSSLMODE", value_name = "MODE")]
    pub pgsslmode: Option<String>,
    /// File of certificate authorities (PEM), or "system" for those of the system, which makes
    /// verify-full the sslmode and takes no other [default: system, with any sslmode]
    #[arg(long, env = "PGSSLROOTCERT", value_name = "FILE")]
    pub pgsslrootcert: Option<PathBuf>,
    /// File of the client certificate (PEM), then those up to its authority [default: none]
    #[arg(long, env = "PGSSLCERT", value_name = "FILE")]
    pub pgsslcert: Option<PathBuf>,
    /// File of its private key (PEM, without a passphrase) [default: none]
    #[arg(long, env = "PGSSLKEY", value_name = "FILE")]
    pub pgsslkey: Option<PathBuf>,
    /// disable, prefer or require that the password counts in this TLS session only [default:
    /// prefer]
    #[arg(long, env = "PGCHANNELBINDING", value_name = "MODE")]
    pub pgchannelbinding: Option<String>,
}
