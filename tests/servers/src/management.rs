//! RabbitMQ's management API.

use super::error::ServerError;
use super::port;
use super::rabbitmq::RabbitMq;

impl RabbitMq {
    /// Starts the management API of a running node on loopback; returns its URL, without a login.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when the plugin does not start.
    pub fn serve_management(&self) -> Result<String, ServerError> {
        let port = port::free()?;
        // The plugin's own environment would replace what is not persistent when it is loaded.
        let place = format!(
            "application:set_env(rabbitmq_management, tcp_config, \
             [{{port, {port}}}, {{ip, \"127.0.0.1\"}}], [{{persistent, true}}])."
        );
        self.control(&["eval", &place])?;
        self.enable_plugin("rabbitmq_management")?;
        Ok(format!("http://127.0.0.1:{port}"))
    }
}
