//! The command line as typed.

mod doctor;
mod slot;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    delivery::{TooLarge, Unroutable},
    secret::Secret,
};
pub use doctor::DoctorArgs;
pub use slot::{SlotArgs, SlotCommand, WhichSlot};

/// Moves the changes of PostgreSQL tables to RabbitMQ, one JSON event per row.
///
/// Every change of a committed transaction arrives at least once and in commit order; a change is
/// acknowledged to PostgreSQL only after the broker has confirmed it.
#[derive(Debug, Parser)]
#[command(name = "pgevents", version, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   stopped as asked (SIGTERM, SIGINT, or the reader of standard output went away)
  1   doctor has found something that has to be mended
  2   a setting, a permission or the server's configuration has to be changed first
  10  the slot existed before and is gone       11  the slot is lost: WAL was removed
  12  the slot was moved or made anew, or this is another system, timeline or an older copy
  13  plugin and relay speak different versions
  20  the broker refuses: login, permission, virtual host, exchange type
  21  no queue wants an event, and --unroutable is stop
  22  an event is too large, and --too-large is stop
  23  a frame cannot be decoded                 70  a bug
A lost connection is no exit: the relay reconnects.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads a replication slot and publishes its changes.
    #[command(after_long_help = PRODUCER_EXAMPLE)]
    Producer(Box<ProducerArgs>),
    /// Prints every message of an exchange: its routing key, then the event.
    #[command(name = "consumer_debug", visible_alias = "event_logger", after_long_help = CONSUMER_EXAMPLE)]
    ConsumerDebug(ConsumerArgs),
    /// Examines both ends and says what has to be mended; takes the flags of producer.
    ///
    /// Prints a line for each check: ok, warn (works, but), fail (the relay cannot start, or events
    /// will be missing) or skip (could not be looked at), each with the SQL or command that mends
    /// it. Exit code 0: nothing failed; 1: something did; 2: a setting cannot be used. Changes
    /// nothing.
    Doctor(Box<DoctorArgs>),
    /// Makes, shows or drops the replication slot.
    Slot(SlotArgs),
    /// Succeeds when the process with the same PGEVENTS_HEALTH_FILE works.
    ///
    /// For health checks of containers and services: a producer or consumer keeps the file's time
    /// of change young while it streams, waits as standby, or waits for events. Exit code 1 when it
    /// is older than 30 seconds, or missing.
    Health,
    /// Prints what a shell needs to complete this command line.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder.
    Man {
        /// The folder; it must exist.
        folder: PathBuf,
    },
    /// Prints the reference of all settings, in Markdown.
    Reference,
}

const PRODUCER_EXAMPLE: &str = "\
Example:
  PGPASSWORD=... RABBITMQ_URL=amqp://user:password@broker.example/%2f \\
  pgevents producer --pghost db.example --pgdatabase shop --pguser relay \\
    --pgslot shop_events --pgtables public.users,public.orders --rabbitmq-exchange shop

Try it without a broker:
  pgevents producer --pghost /run/postgresql --pgdatabase shop --pgslot try --sink stdout";

const CONSUMER_EXAMPLE: &str = "\
Example:
  RABBITMQ_URL=amqp://user:password@broker.example/%2f \\
  pgevents consumer_debug --rabbitmq-exchange shop --rabbitmq-queue-name look \\
    --rabbitmq-binding-keys 'public.*'";

/// Flags of `producer` as typed; an empty value counts as not given.
#[derive(Args, Debug, Default)]
pub struct ProducerArgs {
    /// PostgreSQL: where and who.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Replication slot, made when it is missing and never dropped; a-z, 0-9 and _
    #[arg(
        long,
        alias = "pg_replication_slot",
        env = "PGSLOT",
        value_name = "NAME"
    )]
    pub pgslot: Option<String>,
    /// Tables to send, e.g. public.users,sales.* [default: all]
    #[arg(long, alias = "pg_tables", env = "PGTABLES", value_name = "LIST")]
    pub pgtables: Option<String>,
    /// Tables not to send, in the same form [default: none]
    #[arg(long, value_name = "LIST")]
    pub exclude_tables: Option<String>,
    /// Actions to send, of insert, update, delete, truncate [default: insert,update,delete]
    #[arg(long, value_name = "LIST")]
    pub actions: Option<String>,
    /// Keep back updates that change nothing (needs REPLICA IDENTITY FULL)
    #[arg(long)]
    pub skip_noop: bool,
    /// Columns to leave out of every event, e.g. public.users.password [default: none]
    #[arg(long, value_name = "LIST")]
    pub exclude_columns: Option<String>,
    /// Send the rows of partitions under the name of their topmost parent
    #[arg(long)]
    pub partition_root: bool,
    /// Prefixes of logical messages to send, e.g. pgevents: [default: none]. The message of
    /// pg_logical_emit_message(true, 'pgevents:orders.paid', '{"order":1}') has the routing key
    /// orders.paid and that body
    #[arg(long, value_name = "LIST")]
    pub messages: Option<String>,
    /// none: only changes that were made on this server, not those it replayed; any: all
    /// [default: any]
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Largest value that is sent, in bytes, 1 to 536870912; a larger one becomes a marker
    /// [default: 67108864]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=512 << 20), value_name = "BYTES")]
    pub max_value_bytes: Option<u32>,
    /// RabbitMQ: where and which exchange.
    #[command(flatten)]
    pub rabbitmq: RabbitmqArgs,
    /// Where events go; stdout prints one JSON event a line and needs no broker
    #[arg(long, value_enum, default_value_t = SinkKind::Rabbitmq)]
    pub sink: SinkKind,
    /// How the exchange comes to be: made (durable, topic), only looked for, or taken for granted
    #[arg(long, value_enum, default_value_t = ExchangeDeclare::Declare, value_name = "HOW")]
    pub exchange_declare: ExchangeDeclare,
    /// What to do with an event that no queue wants
    #[arg(long, value_enum, default_value_t = Unroutable::Block, value_name = "POLICY")]
    pub unroutable: Unroutable,
    /// Durable fanout exchange for --unroutable park, made like the other one; events keep their
    /// routing key there
    #[arg(long, value_name = "NAME")]
    pub parking_exchange: Option<String>,
    /// Largest event that the broker takes, in bytes, 1024 to 536870912: its max_message_size, which
    /// is 16 MiB by default since RabbitMQ 4.0 and was 128 MiB before
    #[arg(long, default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1_024..=512 << 20), value_name = "BYTES")]
    pub max_message_bytes: u32,
    /// What to do with a larger one
    #[arg(long, value_enum, default_value_t = TooLarge::Marker, value_name = "POLICY")]
    pub too_large: TooLarge,
    /// Messages on the way to the broker without its confirmation, 1 to 60000
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=60_000), value_name = "MESSAGES")]
    pub window: u32,
    /// The same in bytes of events, 65536 to 1073741824
    #[arg(long, default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(65_536..=1 << 30), value_name = "BYTES")]
    pub window_bytes: u32,
    /// Seconds without any confirmation, while some are due, until the broker counts as dead, 1 to 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600), value_name = "SECONDS")]
    pub confirm_timeout: u32,
    /// Seconds between reports of progress to PostgreSQL when nothing changes, 1 to 60
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60), value_name = "SECONDS")]
    pub status_interval: u32,
    /// Seconds that a clean stop may take before what is in flight is given up and repeated later, 1 to 600
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600), value_name = "SECONDS")]
    pub shutdown_timeout: u32,
    /// File that keeps the acknowledged position, so that the relay goes on exactly there after a
    /// crash of PostgreSQL, and notices a slot that was moved, made anew, or is of another system
    /// [default: none, the slot alone counts]
    #[arg(long, env = "PGEVENTS_STATE_FILE", value_name = "PATH")]
    pub state_file: Option<PathBuf>,
    /// Go on from where the slot stands, and make it if it is gone, where the relay would end with
    /// exit code 10 or 12 because changes may be missing
    #[arg(long)]
    pub accept_gap: bool,
    /// With --accept-gap: send what is missing as a message with the routing key pgevents.gap before
    /// the first event
    #[arg(long, requires = "accept_gap")]
    pub gap_record: bool,
    /// Address for monitoring, e.g. 127.0.0.1:9187: /metrics for Prometheus, /livez and /readyz, without
    /// a login [default: nothing listens]
    #[arg(long, env = "PGEVENTS_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<String>,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How to reach PostgreSQL.
#[derive(Args, Debug, Default)]
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
    /// File of certificate authorities (PEM), or "system" [default: system]
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

/// How to reach RabbitMQ.
#[derive(Args, Debug, Default)]
pub struct RabbitmqArgs {
    /// amqp://user:password@host:port/vhost or amqps://...; "%2f" is the virtual host "/". Better
    /// not a flag: use the variable, or a file (--rabbitmq-url-file)
    #[arg(
        long,
        alias = "rabbitmq_url",
        env = "RABBITMQ_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub rabbitmq_url: Option<Secret>,
    /// File whose first line is that URL [default: none]
    #[arg(long, env = "RABBITMQ_URL_FILE", value_name = "FILE")]
    pub rabbitmq_url_file: Option<PathBuf>,
    /// Topic exchange that events go to, up to 255 bytes
    #[arg(
        long,
        alias = "rabbitmq_exchange",
        env = "RABBITMQ_EXCHANGE",
        value_name = "NAME"
    )]
    pub rabbitmq_exchange: Option<String>,
    /// For amqps://: file of certificate authorities (PEM) [default: the system's]
    #[arg(long, env = "RABBITMQ_CACERT", value_name = "FILE")]
    pub rabbitmq_cacert: Option<PathBuf>,
    /// For amqps://: file of the client certificate (PEM), then those up to its authority
    /// [default: none]
    #[arg(long, env = "RABBITMQ_CERT", value_name = "FILE")]
    pub rabbitmq_cert: Option<PathBuf>,
    /// For amqps://: file of its private key (PEM, without a passphrase) [default: none]
    #[arg(long, env = "RABBITMQ_KEY", value_name = "FILE")]
    pub rabbitmq_key: Option<PathBuf>,
}

/// Flags of `consumer_debug` as typed; an empty value counts as not given.
#[derive(Args, Debug, Default)]
pub struct ConsumerArgs {
    /// RabbitMQ: where and which exchange.
    #[command(flatten)]
    pub rabbitmq: RabbitmqArgs,
    /// Durable queue to read, made when it is missing and never deleted
    #[arg(
        long,
        alias = "rabbitmq_queue_name",
        env = "RABBITMQ_QUEUE_NAME",
        value_name = "NAME"
    )]
    pub rabbitmq_queue_name: Option<String>,
    /// Binding keys of the queue, e.g. public.users,sales.* [default: "#"]
    #[arg(
        long,
        alias = "rabbitmq_binding_keys",
        env = "RABBITMQ_BINDING_KEYS",
        value_name = "LIST"
    )]
    pub rabbitmq_binding_keys: Option<String>,
    /// Type of the queue when it has to be made
    #[arg(long, value_enum, default_value_t = QueueType::Classic, value_name = "TYPE")]
    pub queue_type: QueueType,
    /// Show only events of these tables, e.g. public.users,sales.* [default: all]
    #[arg(long, value_name = "LIST")]
    pub table: Option<String>,
    /// Show only these actions [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub action: Vec<EventAction>,
    /// One JSON object a line, {"routing_key":…,"message_id":…,"event":…}. Otherwise: what has
    /// changed, in colour, on a terminal (not with NO_COLOR), and else a line with the routing key
    /// and one with the event
    #[arg(long)]
    pub json: bool,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How to log, to standard error.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// Form of a line
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORM")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace or off [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// Where events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SinkKind {
    /// To an exchange, with confirms.
    #[default]
    Rabbitmq,
    /// To standard output, a line each.
    Stdout,
}

/// How the exchange comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExchangeDeclare {
    /// Made when it is missing.
    #[default]
    Declare,
    /// Must be there.
    Passive,
    /// Not looked for.
    Off,
}

/// What happened to a row, as in `--action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventAction {
    /// `"I"`
    #[value(alias = "I")]
    Insert,
    /// `"U"`
    #[value(alias = "U")]
    Update,
    /// `"D"`
    #[value(alias = "D")]
    Delete,
    /// `"T"`
    #[value(alias = "T")]
    Truncate,
}

impl EventAction {
    /// The action in an event.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Truncate => "T",
        }
    }
}

/// Type of the consumer's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum QueueType {
    /// On one node, not synced to disk before the confirm.
    #[default]
    Classic,
    /// Replicated, and synced to disk before the confirm.
    Quorum,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_of_the_python_pgevents_are_taken() {
        let words = "pgevents producer --pg_host h --pg_port 1 --pg_database d --pg_user u \
             --pg_password p --pg_tables a.b --pg_replication_slot s --rabbitmq_url amqp://h \
             --rabbitmq_exchange e";
        let cli = Cli::try_parse_from(words.split_whitespace()).expect("accepted");
        let Command::Producer(args) = cli.command else {
            panic!("another command")
        };
        assert_eq!(args.pgslot.as_deref(), Some("s"));
        assert_eq!(args.postgres.pghost.as_deref(), Some("h"));
        assert_eq!(args.rabbitmq.rabbitmq_exchange.as_deref(), Some("e"));
        let cli = Cli::try_parse_from(["pgevents", "event_logger"]).expect("accepted");
        assert!(matches!(cli.command, Command::ConsumerDebug(_)));
    }

    #[test]
    fn secrets_of_the_command_line_are_not_printed() {
        let words = [
            "pgevents",
            "producer",
            "--pgpassword=canary",
            "--rabbitmq-url=canary",
        ];
        let cli = Cli::try_parse_from(words).expect("accepted");
        assert!(!format!("{cli:?}").contains("canary"));
    }
}
