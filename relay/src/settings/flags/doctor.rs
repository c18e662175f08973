use clap::Args;

use super::ProducerArgs;
use crate::secret::Secret;

/// Flags of `doctor` as typed: those of the producer, whose start it examines, and these.
#[derive(Args, Debug, Default)]
pub struct DoctorArgs {
    /// The relay that is examined.
    #[command(flatten)]
    pub producer: ProducerArgs,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// RabbitMQ's management API, http://host:15672 or https, with user:password@ before the host
    /// if its login is not that of RABBITMQ_URL; for what AMQP does not tell: bindings, types of
    /// queues, alarms [default: not asked]
    #[arg(
        long,
        env = "RABBITMQ_MANAGEMENT_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub rabbitmq_management_url: Option<Secret>,
}
