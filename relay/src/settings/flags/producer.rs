use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{LogArgs, PluginArgs, PostgresArgs, RabbitmqArgs, Word};
use crate::{
    delivery::{TooLarge, Unroutable},
    sink::amqp::{ExchangeDeclare, Fence},
};

pub(super) const EXAMPLE: &str = "\
Example:
  PGPASSWORD=... RABBITMQ_URL=amqp://user:password@broker.example/%2f \\
  pgevents producer --pghost db.example --pgdatabase shop --pguser relay \\
    --pgslot shop_events --pgtables public.users,public.orders --rabbitmq-exchange shop

Try it without a broker:
  pgevents producer --pghost /run/postgresql --pgdatabase shop --pgslot try --sink stdout";

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
    /// What the plugin is asked for.
    #[command(flatten)]
    pub plugin: PluginArgs,
    /// End with exit code 2 if a list of tables or columns names something that is not there, where
    /// a warning would say so
    #[arg(long)]
    pub strict: bool,
    /// RabbitMQ: where and which exchange.
    #[command(flatten)]
    pub rabbitmq: RabbitmqArgs,
    /// Where events go; stdout prints one JSON event a line and needs no broker
    #[arg(long, value_enum, default_value_t = SinkKind::Rabbitmq)]
    pub sink: SinkKind,
    /// How the exchange comes to be: made (durable, topic), only looked for, or taken for granted
    #[arg(long, value_enum, default_value_t = Word(ExchangeDeclare::Declare), value_name = "HOW")]
    pub exchange_declare: Word<ExchangeDeclare>,
    /// Whether the broker lets one relay of a slot publish at a time, by a queue pgevents.fence.*
    /// of its connection, so that one that stood still and wakes up sends nothing that is out of
    /// date
    #[arg(long, value_enum, default_value_t = Word(Fence::Auto), value_name = "WHETHER")]
    pub fence: Word<Fence>,
    /// What to do with an event that no queue wants
    #[arg(long, value_enum, default_value_t = Word(Unroutable::Block), value_name = "POLICY")]
    pub unroutable: Word<Unroutable>,
    /// Durable fanout exchange for --unroutable park, made like the other one; events keep their
    /// routing key there
    #[arg(long, value_name = "NAME")]
    pub parking_exchange: Option<String>,
    /// Largest event that the broker takes, in bytes, 1024 to 536870912: its max_message_size,
    /// which is 16 MiB by default since RabbitMQ 4.0 and was 128 MiB before
    #[arg(long, default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1_024..=512 << 20), value_name = "BYTES")]
    pub max_message_bytes: u32,
    /// What to do with a larger one
    #[arg(long, value_enum, default_value_t = Word(TooLarge::Marker), value_name = "POLICY")]
    pub too_large: Word<TooLarge>,
    /// Messages on the way to the broker without its confirmation, 1 to 60000
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=60_000), value_name = "MESSAGES")]
    pub window: u32,
    /// The same in bytes of events, 65536 to 1073741824
    #[arg(long, default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(65_536..=1 << 30), value_name = "BYTES")]
    pub window_bytes: u32,
    /// Seconds without any confirmation, while some are due, until the broker counts as dead, 1 to
    /// 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600), value_name = "SECONDS")]
    pub confirm_timeout: u32,
    /// Seconds between reports of progress to PostgreSQL when nothing changes, 1 to 60
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60), value_name = "SECONDS")]
    pub status_interval: u32,
    /// Seconds that a clean stop may take before what is in flight is given up and repeated later,
    /// 1 to 600
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
    /// With --accept-gap: send what is missing as a message with the routing key pgevents.gap
    /// before the first event
    #[arg(long, requires = "accept_gap")]
    pub gap_record: bool,
    /// Address for monitoring, e.g. 127.0.0.1:9187: /metrics for Prometheus, /livez and /readyz,
    /// without a login [default: nothing listens]
    #[arg(long, env = "PGEVENTS_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<String>,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
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
