use super::{ConfigError, Environment, ManagementUrl, Producer, Sink};
use crate::cli::DoctorArgs;

/// Settings of `doctor`.
#[derive(Clone, Debug)]
pub struct Doctor {
    /// The relay that is examined.
    pub producer: Producer,
    /// RabbitMQ's management API; `None`: it is not asked.
    pub management: Option<ManagementUrl>,
}

impl Doctor {
    /// Checks what was typed and adds what the environment and files say.
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used.
    pub fn new(args: &DoctorArgs, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let producer = Producer::new(&args.producer, environment)?;
        let url = args.rabbitmq_management_url.as_ref();
        let url = url.filter(|url| !url.reveal().is_empty());
        let management = match (url, &producer.sink) {
            (Some(url), Sink::Rabbitmq { broker, .. }) => Some(ManagementUrl::parse(url, broker)?),
            (Some(_) | None, _) => None,
        };
        Ok(Self {
            producer,
            management,
        })
    }
}
