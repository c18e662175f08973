use std::time::Duration;

use lapin::{
    Channel, Connection, ConnectionProperties,
    tcp::{AMQPUriTcpExt, RustlsConnector},
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;

use super::{Broker, BrokerUrl, reply_code, shell_word};
use crate::{
    sink::SinkError,
    tls::{TlsError, Trust},
};

/// Longest time for the connection, its channel and the exchange, each. lapin limits only TCP.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and opens a channel.
///
/// # Errors
///
/// The broker cannot be reached, or it refuses.
pub async fn connect(broker: &Broker, name: &str) -> Result<(Connection, Channel), SinkError> {
    let url = broker.current_url();
    let encryption = encryption(broker)?;
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let uri = url.uri();
    let connecting = async {
        let connection = match encryption {
            None => Connection::connect_uri(uri, properties).await?,
            // lapin's own way adds the named authorities to those of the system, and needs a system
            // that has some; here the named ones are all that counts.
            Some(encryption) => {
                let open = async move |mut uri: AMQPUri, runtime| {
                    uri.scheme = AMQPScheme::AMQP;
                    let plain = uri.connect_async(&runtime).await?;
                    let host = &uri.authority.host;
                    Ok(plain.into_rustls(&encryption, host).await?)
                };
                let runtime = lapin::runtime::default_runtime()?;
                Connection::connector(uri, runtime, open, properties).await?
            }
        };
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    };
    let Ok(connected) = timeout(CONNECT_TIMEOUT, connecting).await else {
        return Err(SinkError::Slow {
            address: url.to_string(),
            limit: CONNECT_TIMEOUT,
        });
    };
    connected.map_err(|source| failure(&url, source))
}

/// How to encrypt; `None`: not at all.
fn encryption(broker: &Broker) -> Result<Option<RustlsConnector>, SinkError> {
    if !broker.url.is_encrypted() {
        return Ok(None);
    }
    let client = broker.certificates.client(Trust::Host);
    let client = client.map_err(|source| SinkError::Tls {
        address: broker.url.to_string(),
        source: source.into(),
    })?;
    Ok(Some(client.into()))
}

/// What it means that the broker could not be connected to.
fn failure(url: &BrokerUrl, source: lapin::Error) -> SinkError {
    if let Some(source) = TlsError::among(&source) {
        return SinkError::Tls {
            address: url.to_string(),
            source: source.into(),
        };
    }
    match reply_code(&source) {
        // ACCESS_REFUSED: name or password, or no permission for the virtual host.
        Some(403) => SinkError::Refused {
            what: format!("log in to RabbitMQ at {url} as {:?}", url.user()),
            remedy: "check user and password in RABBITMQ_URL".to_owned(),
            source: Box::new(source),
        },
        // NOT_ALLOWED: the virtual host is missing, or the user may not use it.
        Some(530) => SinkError::Refused {
            what: format!("open virtual host {:?} of RabbitMQ at {url}", url.vhost()),
            remedy: format!(
                "check the end of RABBITMQ_URL (%2f is the virtual host /), or run: rabbitmqctl \
                 add_vhost {vhost}; rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'; if \
                 there is a limit of connections, raise it: rabbitmqctl list_vhost_limits; \
                 rabbitmqctl list_user_limits --user {user}",
                vhost = shell_word(url.vhost()),
                user = shell_word(url.user())
            ),
            source: Box::new(source),
        },
        Some(_) | None => SinkError::Unreachable {
            address: url.to_string(),
            source: Box::new(source),
        },
    }
}
