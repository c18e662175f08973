use std::path::PathBuf;

use clap::Args;

use crate::secret::Secret;

/// How to reach RabbitMQ.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "RabbitMQ")]
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
