use super::{ConfigError, certificates, given, path, secret};
use crate::{
    settings::flags::RabbitmqArgs,
    sink::amqp::{Broker, BrokerUrl},
    tls::{Certificates, Trust},
};

/// Checks what was typed and adds what files say.
pub(super) fn broker(args: &RabbitmqArgs) -> Result<Broker, ConfigError> {
    let url = secret(
        &args.rabbitmq_url,
        &args.rabbitmq_url_file,
        "RABBITMQ_URL_FILE",
    )?;
    let url = url.ok_or(ConfigError::Missing(
        "RABBITMQ_URL",
        "e.g. amqp://user:password@localhost:5672/%2f",
    ))?;
    let exchange = given(&args.rabbitmq_exchange).ok_or(ConfigError::Missing(
        "RABBITMQ_EXCHANGE",
        "name the topic exchange (--rabbitmq-exchange)",
    ))?;
    let config = Broker {
        url: BrokerUrl::parse(&url)?,
        url_file: match &args.rabbitmq_url {
            Some(given) if !given.reveal().is_empty() => None,
            _ => path(&args.rabbitmq_url_file),
        },
        exchange: amqp_name("RABBITMQ_EXCHANGE", exchange)?,
        certificates: certificates(
            &args.rabbitmq_cacert,
            ("RABBITMQ_CERT", &args.rabbitmq_cert),
            ("RABBITMQ_KEY", &args.rabbitmq_key),
        )?,
    };
    if config.url.is_encrypted() {
        let names = "RABBITMQ_CACERT, RABBITMQ_CERT and RABBITMQ_KEY";
        let client = config.certificates.client(Trust::Host);
        client.map_err(|fault| ConfigError::Certificates(names, fault.into()))?;
    } else if config.certificates != Certificates::default() {
        return Err(ConfigError::PlainUrl);
    }
    Ok(config)
}

/// AMQP 0-9-1 carries names as short strings.
pub(super) fn amqp_name(name: &'static str, value: String) -> Result<String, ConfigError> {
    if value.len() <= 255 {
        return Ok(value);
    }
    Err(ConfigError::Value {
        name,
        value,
        expected: "a name has at most 255 bytes",
    })
}
