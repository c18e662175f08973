//! Settings as they are used, made from flags, environment and files.

mod passfile;
mod url;

use std::{fs, io, path::PathBuf, time::Duration};

use pgevents_proto::{TableList, TableListError};

use crate::{
    cli::{
        ConsumerArgs, ExchangeDeclare, PostgresArgs, ProducerArgs, QueueType, RabbitmqArgs,
        SinkKind,
    },
    delivery::Policy,
    position::StateFile,
    secret::Secret,
};
pub use url::{BrokerUrl, UrlFault};

/// A variable of the environment by its name; `None` when it is unset or empty.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A setting that cannot be used. Always the operator's to mend: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting without a default is missing.
    #[error("{0} is not set: {1}")]
    Missing(&'static str, &'static str),
    /// A setting has a value outside its range.
    #[error("{name} is {value:?}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What it was set to; never a secret.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table list does not parse.
    #[error("read {name}")]
    Tables {
        /// The setting.
        name: &'static str,
        /// Where and why.
        source: TableListError,
    },
    /// The broker's URL does not parse; the message never repeats it.
    #[error("read RABBITMQ_URL: {0}")]
    Url(#[from] UrlFault),
    /// A file that a setting names cannot be read.
    #[error("read {path}, named by {name}")]
    File {
        /// The setting.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Settings of `producer`.
#[derive(Clone, Debug)]
pub struct Producer {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Slot, `^[a-z0-9_]{1,63}$`.
    pub slot: String,
    /// Options of START_REPLICATION for the plugin, in order.
    pub plugin_options: Vec<(&'static str, String)>,
    /// The tables asked for; `None`: all.
    pub tables: Option<TableList>,
    /// Where events go.
    pub sink: Sink,
    /// What is decided about delivery.
    pub policy: Policy,
    /// Longest pause between two reports of progress.
    pub status_interval: Duration,
    /// Longest time that a clean stop may take.
    pub shutdown_timeout: Duration,
    /// What keeps the acknowledged position across restarts.
    pub state_file: Option<StateFile>,
    /// Whether to go on where changes may be missing.
    pub accept_gap: bool,
    /// Whether to tell consumers then.
    pub gap_record: bool,
}

/// A replication slot and the server that has it.
#[derive(Clone, Debug)]
pub struct SlotTarget {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Slot, `^[a-z0-9_]{1,63}$`.
    pub slot: String,
}

/// Where events go.
#[derive(Clone, Debug)]
pub enum Sink {
    /// An exchange.
    Rabbitmq {
        /// The broker and the exchange.
        broker: Broker,
        /// How the exchange comes to be.
        declare: ExchangeDeclare,
    },
    /// Standard output.
    Stdout,
}

/// A broker's exchange.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where the broker is and who asks.
    pub url: BrokerUrl,
    /// Exchange, up to 255 bytes.
    pub exchange: String,
}

/// Settings of `consumer_debug`.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The broker and the exchange.
    pub broker: Broker,
    /// Queue, up to 255 bytes.
    pub queue: String,
    /// Binding keys; at least one.
    pub binding_keys: Vec<String>,
    /// Type of a queue that has to be made.
    pub queue_type: QueueType,
}

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
    /// File of certificate authorities; `None`: those of the system.
    pub root_certificates: Option<PathBuf>,
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

impl Producer {
    /// Checks what was typed and adds what the environment and files say.
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used.
    pub fn new(args: &ProducerArgs, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let target = SlotTarget::new(&args.postgres, &args.pgslot, environment)?;
        let tables = table_list("PGTABLES", &args.pgtables)?;
        table_list("--exclude-tables", &args.exclude_tables)?;
        let sink = match args.sink {
            SinkKind::Stdout => Sink::Stdout,
            SinkKind::Rabbitmq => Sink::Rabbitmq {
                broker: Broker::new(&args.rabbitmq, environment)?,
                declare: args.exchange_declare,
            },
        };
        Ok(Self {
            postgres: target.postgres,
            slot: target.slot,
            plugin_options: plugin_options(args),
            tables,
            sink,
            policy: Policy {
                window_messages: args.window.into(),
                window_bytes: args.window_bytes.into(),
                confirm_timeout: Duration::from_secs(args.confirm_timeout.into()),
                unroutable: args.unroutable,
            },
            status_interval: Duration::from_secs(args.status_interval.into()),
            shutdown_timeout: Duration::from_secs(args.shutdown_timeout.into()),
            state_file: args
                .state_file
                .clone()
                .filter(|path| !path.as_os_str().is_empty())
                .map(StateFile::new),
            accept_gap: args.accept_gap,
            gap_record: args.gap_record,
        })
    }
}

impl SlotTarget {
    /// The same for a command that is about the slot alone.
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used.
    pub fn new(
        postgres: &PostgresArgs,
        slot: &Option<String>,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let slot = given(slot)
            .or_else(|| environment("PGREPLICATIONSLOT"))
            .ok_or(ConfigError::Missing(
                "PGSLOT",
                "name the replication slot (--pgslot)",
            ))?;
        Ok(Self {
            slot: slot_name(slot)?,
            postgres: Postgres::new(postgres, environment)?,
        })
    }
}

impl Consumer {
    /// The same for `consumer_debug`.
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used.
    pub fn new(args: &ConsumerArgs, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let queue = given(&args.rabbitmq_queue_name).ok_or(ConfigError::Missing(
            "RABBITMQ_QUEUE_NAME",
            "name the queue to read (--rabbitmq-queue-name)",
        ))?;
        let keys = given(&args.rabbitmq_binding_keys).unwrap_or_else(|| "#".to_owned());
        let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
        let binding_keys = keys
            .map(|key| amqp_name("RABBITMQ_BINDING_KEYS", key.to_owned()))
            .collect::<Result<Vec<_>, _>>()?;
        if binding_keys.is_empty() {
            return Err(ConfigError::Missing(
                "RABBITMQ_BINDING_KEYS",
                "give at least one key",
            ));
        }
        Ok(Self {
            broker: Broker::new(&args.rabbitmq, environment)?,
            queue: amqp_name("RABBITMQ_QUEUE_NAME", queue)?,
            binding_keys,
            queue_type: args.queue_type,
        })
    }
}

impl Broker {
    fn new(args: &RabbitmqArgs, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let url = secret(&args.rabbitmq_url, "RABBITMQ_URL_FILE", environment)?;
        let url = url.ok_or(ConfigError::Missing(
            "RABBITMQ_URL",
            "e.g. amqp://user:password@localhost:5672/%2f",
        ))?;
        let exchange = given(&args.rabbitmq_exchange).ok_or(ConfigError::Missing(
            "RABBITMQ_EXCHANGE",
            "name the topic exchange (--rabbitmq-exchange)",
        ))?;
        Ok(Self {
            url: BrokerUrl::parse(&url)?,
            exchange: amqp_name("RABBITMQ_EXCHANGE", exchange)?,
        })
    }
}

impl Postgres {
    fn new(args: &PostgresArgs, environment: Environment<'_>) -> Result<Self, ConfigError> {
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
        let root = args
            .pgsslrootcert
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        let mut config = Self {
            host,
            port,
            database,
            user,
            password: secret(&args.pgpassword, "PGPASSWORD_FILE", environment)?,
            tls: tls_mode(given(&args.pgsslmode))?,
            root_certificates: root.filter(|path| path.as_os_str() != "system"),
        };
        if config.password.is_none() {
            config.password = passfile::lookup(&config, environment)?;
        }
        Ok(config)
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

fn given(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

/// A secret as given, else the first line of the file that a variable names.
fn secret(
    value: &Option<Secret>,
    file: &'static str,
    environment: Environment<'_>,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(secret) = value.as_ref().filter(|secret| !secret.reveal().is_empty()) {
        return Ok(Some(secret.clone()));
    }
    let Some(path) = environment(file).map(PathBuf::from) else {
        return Ok(None);
    };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().next().map(Secret::new)),
        Err(source) => Err(ConfigError::File {
            name: file,
            path,
            source,
        }),
    }
}

/// Source of the rule: PostgreSQL `src/backend/replication/slot.c`, `ReplicationSlotValidateName`.
fn slot_name(value: String) -> Result<String, ConfigError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if value.len() <= 63 && value.bytes().all(plain) {
        return Ok(value);
    }
    let expected = "use up to 63 of a-z, 0-9 and _";
    Err(ConfigError::Value {
        name: "PGSLOT",
        value,
        expected,
    })
}

/// AMQP 0-9-1 carries names as short strings.
fn amqp_name(name: &'static str, value: String) -> Result<String, ConfigError> {
    if value.len() <= 255 {
        return Ok(value);
    }
    Err(ConfigError::Value {
        name,
        value,
        expected: "a name has at most 255 bytes",
    })
}

fn table_list(
    name: &'static str,
    value: &Option<String>,
) -> Result<Option<TableList>, ConfigError> {
    let list = given(value).map(|text| text.parse());
    list.transpose()
        .map_err(|source| ConfigError::Tables { name, source })
}

fn plugin_options(args: &ProducerArgs) -> Vec<(&'static str, String)> {
    let lists = [
        ("tables", &args.pgtables),
        ("exclude-tables", &args.exclude_tables),
        ("exclude-columns", &args.exclude_columns),
        ("actions", &args.actions),
        ("messages", &args.messages),
        ("origin", &args.origin),
    ];
    let lists = lists
        .into_iter()
        .filter_map(|(name, value)| Some((name, given(value)?)));
    let switches = [
        ("skip-noop", args.skip_noop),
        ("partition-root", args.partition_root),
    ];
    let switches = switches
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| (name, "true".to_owned()));
    let limit = args
        .max_value_bytes
        .map(|bytes| ("max-value-bytes", bytes.to_string()));
    lists.chain(switches).chain(limit).collect()
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

#[cfg(test)]
mod tests;
