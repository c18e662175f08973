//! Settings as they are used, made from flags, environment and files.

mod broker;
mod error;
mod libpq;
mod postgres;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pgevents_proto::{Options, TableList};

use super::flags::{
    ConsumerArgs, DoctorArgs, PluginArgs, PostgresArgs, ProducerArgs, SinkKind, SlotCommand,
};
use crate::{
    consumer::{self, Filter, View},
    delivery::{Policy, Unroutable},
    doctor::{self, ManagementUrl},
    position::{Fnv1a, StateFile},
    postgres::SlotTarget,
    producer::{self, MESSAGE_PREFIX, Plan},
    secret::{Secret, first_line},
    sink::{self, amqp},
    slot,
    tls::{Certificates, Identity},
};
use broker::{amqp_name, broker};
pub use error::ConfigError;

/// A variable of the environment by its name; `None` when it is unset or empty.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Settings of `producer`: what was typed, with what the environment and files add.
///
/// # Errors
///
/// The first setting that is missing or cannot be used.
pub fn producer(
    args: &ProducerArgs,
    environment: Environment<'_>,
) -> Result<producer::Settings, ConfigError> {
    let target = slot_target(&args.postgres, &args.pgslot, environment)?;
    let plugin = plugin_options(&args.plugin)?;
    let sink = match args.sink {
        SinkKind::Stdout => sink::Settings::Stdout,
        SinkKind::Rabbitmq => sink::Settings::Amqp(Box::new(amqp::Settings {
            broker: broker(&args.rabbitmq)?,
            declare: args.exchange_declare.0,
            fence: args.fence.0,
            parking: parking_exchange(args)?,
            max_message_bytes: args.max_message_bytes.into(),
        })),
    };
    Ok(producer::Settings {
        strict: args.strict,
        sink,
        status_interval: Duration::from_secs(args.status_interval.into()),
        metrics_listen: metrics_listen(&args.metrics_listen)?,
        plan: plan(args, &target, fingerprint(&plugin)),
        postgres: target.postgres,
        plugin,
    })
}

/// A number for what the plugin is asked, as [`Plan`] wants it.
fn fingerprint(plugin: &Options) -> u64 {
    let mut hasher = Fnv1a::default();
    for option in plugin.described() {
        hasher.add(option.as_bytes());
        hasher.add(b"\n");
    }
    hasher.sum()
}

/// The plugin looks at each option too; here a mistake is found before anything is opened.
fn plugin_options(args: &PluginArgs) -> Result<Options, ConfigError> {
    let mut options = Options::default();
    for (name, value) in &args.given {
        let set = options.set(name, Some(value.clone()));
        set.map_err(|fault| ConfigError::Plugin {
            setting: PluginArgs::setting(name),
            fault,
        })?;
    }
    let mut prefixes = options.message_prefixes().iter();
    match prefixes.find(|prefix| !prefix.starts_with(MESSAGE_PREFIX)) {
        // The plugin would send them, and they would be no events.
        Some(prefix) => Err(ConfigError::Value {
            name: "--messages",
            value: prefix.clone(),
            expected: "each prefix has to begin with pgevents:, since what follows that in a message \
                       is its routing key",
        }),
        None => Ok(options),
    }
}

fn plan(args: &ProducerArgs, target: &SlotTarget, asked: u64) -> Plan {
    Plan {
        asked,
        slot: target.slot.clone(),
        database: target.postgres.database.clone(),
        policy: Policy {
            window_messages: args.window.into(),
            window_bytes: args.window_bytes.into(),
            confirm_timeout: Duration::from_secs(args.confirm_timeout.into()),
            unroutable: args.unroutable.0,
            too_large: args.too_large.0,
        },
        shutdown_timeout: Duration::from_secs(args.shutdown_timeout.into()),
        state_file: path(&args.state_file).map(StateFile::new),
        accept_gap: args.accept_gap,
        gap_record: args.gap_record,
    }
}

/// Settings of a command that is about the slot alone.
///
/// # Errors
///
/// The first setting that is missing or cannot be used.
pub fn slot_target(
    postgres: &PostgresArgs,
    slot: &Option<String>,
    environment: Environment<'_>,
) -> Result<SlotTarget, ConfigError> {
    let slot = given(slot).ok_or(ConfigError::Missing(
        "PGSLOT",
        "name the replication slot (--pgslot)",
    ))?;
    Ok(SlotTarget {
        slot: slot_name(slot)?,
        postgres: self::postgres::postgres(postgres, environment)?,
    })
}

/// What `slot` is asked to do.
pub fn slot_action(command: &SlotCommand) -> slot::Action {
    match command {
        SlotCommand::Create { failover, .. } => slot::Action::Create {
            failover: *failover,
        },
        SlotCommand::Status { json, sample, .. } => slot::Action::Status {
            json: *json,
            sample: *sample,
        },
        SlotCommand::Drop { yes, .. } => slot::Action::Drop { yes: *yes },
    }
}

/// Settings of `doctor`.
///
/// # Errors
///
/// The first setting that is missing or cannot be used.
pub fn doctor(
    args: &DoctorArgs,
    environment: Environment<'_>,
) -> Result<doctor::Settings, ConfigError> {
    let producer = producer(&args.producer, environment)?;
    let url = args.rabbitmq_management_url.as_ref();
    let url = url.filter(|url| !url.reveal().is_empty());
    let management = match (url, &producer.sink) {
        (Some(url), sink::Settings::Amqp(amqp)) => Some(ManagementUrl::parse(url, &amqp.broker)?),
        (Some(_) | None, _) => None,
    };
    Ok(doctor::Settings {
        producer,
        management,
    })
}

/// Settings of `consumer_debug`.
///
/// # Errors
///
/// The first setting that is missing or cannot be used.
pub fn consumer(
    args: &ConsumerArgs,
    environment: Environment<'_>,
) -> Result<consumer::Settings, ConfigError> {
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
    Ok(consumer::Settings {
        broker: broker(&args.rabbitmq)?,
        queue: amqp_name("RABBITMQ_QUEUE_NAME", queue)?,
        binding_keys,
        queue_type: args.queue_type.0,
        filter: Filter {
            tables: table_list("--table", &args.table)?,
            actions: args.action.iter().map(|word| word.0).collect(),
        },
        view: View::fitting(args.json, environment("NO_COLOR").is_some()),
    })
}

fn given(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

fn path(value: &Option<PathBuf>) -> Option<PathBuf> {
    value.clone().filter(|path| !path.as_os_str().is_empty())
}

/// A secret as given, else the first line of the file that the setting `name` names.
fn secret(
    value: &Option<Secret>,
    file: &Option<PathBuf>,
    name: &'static str,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(secret) = value.as_ref().filter(|secret| !secret.reveal().is_empty()) {
        return Ok(Some(secret.clone()));
    }
    let Some(path) = path(file) else {
        return Ok(None);
    };
    first_line(&path).map_err(|source| ConfigError::File { name, path, source })
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
    match (args.unroutable.0, name) {
        // What came back could not be told from its own parked copy.
        (Unroutable::Park, Some(value))
            if given(&args.rabbitmq.rabbitmq_exchange).as_ref() == Some(&value) =>
        {
            Err(ConfigError::Value {
                name: "--parking-exchange",
                value,
                expected: "name another exchange than RABBITMQ_EXCHANGE",
            })
        }
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
mod tests;
