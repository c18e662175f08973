use lapin::{Channel, ExchangeKind, options::ExchangeDeclareOptions, types::FieldTable};
use tokio::time::timeout;

use super::{
    Broker,
    connection::CONNECT_TIMEOUT,
    name::short,
    reply::{lost, reply_code},
};
use crate::sink::SinkError;

/// How the exchange comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExchangeDeclare {
    /// Made when it is missing.
    #[default]
    Declare,
    /// Must be there.
    Passive,
    /// Not looked for.
    Off,
}

/// An exchange that messages go to.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    name: &'a str,
    kind: ExchangeKind,
    /// The kind in a message.
    word: &'static str,
    /// The setting that names it.
    setting: &'static str,
}

impl<'a> Exchange<'a> {
    /// The topic exchange of the events.
    pub(crate) fn events(broker: &'a Broker) -> Self {
        Self {
            name: &broker.exchange,
            kind: ExchangeKind::Topic,
            word: "topic",
            setting: "RABBITMQ_EXCHANGE",
        }
    }

    /// The fanout exchange of events that no queue wants.
    pub(super) fn parking(name: &'a str) -> Self {
        Self {
            name,
            kind: ExchangeKind::Fanout,
            word: "fanout",
            setting: "--parking-exchange",
        }
    }
}

/// Makes a durable exchange, or looks for it.
pub(crate) async fn declare_exchange(
    channel: &Channel,
    broker: &Broker,
    exchange: Exchange<'_>,
    declare: ExchangeDeclare,
) -> Result<(), SinkError> {
    let passive = match declare {
        ExchangeDeclare::Off => return Ok(()),
        ExchangeDeclare::Declare => false,
        ExchangeDeclare::Passive => true,
    };
    let options = ExchangeDeclareOptions {
        passive,
        durable: true,
        ..Default::default()
    };
    let declared = channel.exchange_declare(
        short(exchange.name),
        exchange.kind.clone(),
        options,
        FieldTable::default(),
    );
    let Ok(outcome) = timeout(CONNECT_TIMEOUT, declared).await else {
        return Err(SinkError::Slow {
            address: broker.url.to_string(),
            limit: CONNECT_TIMEOUT,
        });
    };
    let what = || format!("declare exchange {:?}", exchange.name);
    outcome.map_err(|source| match reply_code(&source) {
        // PRECONDITION_FAILED
        Some(406) => SinkError::Refused {
            what: what(),
            remedy: format!(
                "it exists, and is not what the relay would declare: durable, {}, without arguments; \
                 name another one in {}, delete it, or use --exchange-declare passive if it is meant \
                 to be so",
                exchange.word, exchange.setting
            ),
            source: Box::new(source),
        },
        // ACCESS_REFUSED
        Some(403) => SinkError::Refused {
            what: what(),
            remedy: format!(
                "give {:?} the permission to configure and write it, or use --exchange-declare off",
                broker.url.user()
            ),
            source: Box::new(source),
        },
        // NOT_FOUND
        Some(404) => SinkError::Refused {
            what: what(),
            remedy: "it does not exist; make it, or use --exchange-declare declare".to_owned(),
            source: Box::new(source),
        },
        Some(_) | None => lost(source),
    })
}
