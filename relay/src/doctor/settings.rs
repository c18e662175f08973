use super::ManagementUrl;
use crate::producer;

/// Settings of `doctor`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The relay that is examined.
    pub producer: producer::Settings,
    /// RabbitMQ's management API; `None`: it is not asked.
    pub management: Option<ManagementUrl>,
}
