//! Settings as they are used, made from flags, environment and files.

mod broker;
mod doctor;
mod error;
mod management;
mod passfile;
mod plugin_option;
mod postgres;
mod secret_file;
mod url;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pgevents_proto::TableList;

use crate::{
    cli::{ConsumerArgs, ExchangeDeclare, PostgresArgs, ProducerArgs, QueueType, SinkKind},
    consumer::{Filter, View},
    delivery::{Policy, Unroutable},
    position::StateFile,
    tls::{Certificates, Identity},
};
pub use broker::Broker;
use broker::amqp_name;
pub use doctor::Doctor;
pub use error::ConfigError;
pub use management::ManagementUrl;
use plugin_option::plugin_options;
pub use postgres::{ChannelBinding, Postgres, TlsMode};
use secret_file::secret;
pub use url::{BrokerUrl, UrlFault};

/// A variable of the environment by its name; `None` when it is unset or empty.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

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
    /// The tables that are left out; `None`: none.
    pub excluded_tables: Option<TableList>,
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
    /// Where monitoring may ask; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
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
        broker: Box<Broker>,
        /// How the exchange comes to be.
        declare: ExchangeDeclare,
        /// Exchange for events that no queue wants, up to 255 bytes; `None`: the policy is another.
        parking: Option<String>,
    },
    /// Standard output.
    Stdout,
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
    /// Which messages are shown.
    pub filter: Filter,
    /// How they are shown.
    pub view: View,
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
        let excluded_tables = table_list("--exclude-tables", &args.exclude_tables)?;
        let sink = match args.sink {
            SinkKind::Stdout => Sink::Stdout,
            SinkKind::Rabbitmq => Sink::Rabbitmq {
                broker: Box::new(Broker::new(&args.rabbitmq)?),
                declare: args.exchange_declare,
                parking: parking_exchange(args)?,
            },
        };
        Ok(Self {
            postgres: target.postgres,
            slot: target.slot,
            plugin_options: plugin_options(args)?,
            tables,
            excluded_tables,
            sink,
            policy: Policy {
                window_messages: args.window.into(),
                window_bytes: args.window_bytes.into(),
                confirm_timeout: Duration::from_secs(args.confirm_timeout.into()),
                unroutable: args.unroutable,
                max_message_bytes: match args.sink {
                    SinkKind::Rabbitmq => args.max_message_bytes.into(),
                    SinkKind::Stdout => u64::MAX,
                },
                too_large: args.too_large,
            },
            status_interval: Duration::from_secs(args.status_interval.into()),
            shutdown_timeout: Duration::from_secs(args.shutdown_timeout.into()),
            state_file: path(&args.state_file).map(StateFile::new),
            accept_gap: args.accept_gap,
            gap_record: args.gap_record,
            metrics_listen: metrics_listen(&args.metrics_listen)?,
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
        let slot = given(slot).ok_or(ConfigError::Missing(
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
            broker: Broker::new(&args.rabbitmq)?,
            queue: amqp_name("RABBITMQ_QUEUE_NAME", queue)?,
            binding_keys,
            queue_type: args.queue_type,
            filter: Filter {
                tables: table_list("--table", &args.table)?,
                actions: args.action.clone(),
            },
            view: View::fitting(args.json, environment),
        })
    }
}

fn given(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

fn path(value: &Option<PathBuf>) -> Option<PathBuf> {
    value.clone().filter(|path| !path.as_os_str().is_empty())
}

/// Files of certificates; a certificate and its key come together.
fn certificates(
    authorities: &Option<PathBuf>,
    (certificate_name, certificate): (&'static str, &Option<PathBuf>),
    (key_name, key): (&'static str, &Option<PathBuf>),
) -> Result<Certificates, ConfigError> {
    let identity = match (path(certificate), path(key)) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            let why = "name the file with the key of the client certificate";
            return Err(ConfigError::Missing(key_name, why));
        }
        (None, Some(_)) => {
            let why = "name the file with the client certificate of the key";
            return Err(ConfigError::Missing(certificate_name, why));
        }
    };
    Ok(Certificates {
        authorities: path(authorities),
        identity,
    })
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

/// The exchange for events that no queue wants, where the policy asks for one.
fn parking_exchange(args: &ProducerArgs) -> Result<Option<String>, ConfigError> {
    let name = given(&args.parking_exchange);
    match (args.unroutable, name) {
        (Unroutable::Park, Some(name)) => amqp_name("--parking-exchange", name).map(Some),
        (Unroutable::Park, None) => Err(ConfigError::Missing(
            "--parking-exchange",
            "--unroutable park needs to know where to",
        )),
        (_, Some(value)) => Err(ConfigError::Value {
            name: "--parking-exchange",
            value,
            expected: "it goes with --unroutable park",
        }),
        (_, None) => Ok(None),
    }
}

fn table_list(
    name: &'static str,
    value: &Option<String>,
) -> Result<Option<TableList>, ConfigError> {
    let list = given(value).map(|text| text.parse());
    list.transpose()
        .map_err(|source| ConfigError::Tables { name, source })
}

fn metrics_listen(value: &Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(value) = given(value) else {
        return Ok(None);
    };
    let expected = "give an IP address and a port, e.g. 127.0.0.1:9187 or [::1]:9187";
    value.parse().map(Some).map_err(|_| ConfigError::Value {
        name: "PGEVENTS_METRICS_LISTEN",
        value,
        expected,
    })
}

#[cfg(test)]
pub(crate) mod tests;
