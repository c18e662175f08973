use clap::Args;

use super::{LogArgs, RabbitmqArgs, Word};
use crate::consumer::{EventAction, QueueType};

pub(super) const EXAMPLE: &str = "\
Example:
  RABBITMQ_URL=amqp://user:password@broker.example/%2f \\
  pgevents consumer_debug --rabbitmq-exchange shop --rabbitmq-queue-name look \\
    --rabbitmq-binding-keys 'public.*'";

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
    #[arg(long, value_enum, default_value_t = Word(QueueType::Classic), value_name = "TYPE")]
    pub queue_type: Word<QueueType>,
    /// Show only events of these tables, e.g. public.users,sales.* [default: all]
    #[arg(long, value_name = "LIST")]
    pub table: Option<String>,
    /// Show only these actions [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub action: Vec<Word<EventAction>>,
    /// One JSON object a line, {"routing_key":…,"message_id":…,"event":…}. Otherwise: what has
    /// changed, in colour, on a terminal (not with NO_COLOR), and else a line with the routing key
    /// and one with the event
    #[arg(long)]
    pub json: bool,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}
