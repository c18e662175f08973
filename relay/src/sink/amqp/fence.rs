//! One relay of a slot publishes at a time: a lock at the broker.

use lapin::{
    Connection,
    options::QueueDeclareOptions,
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;

use super::{
    Broker,
    connection::CONNECT_TIMEOUT,
    name::short,
    reply::{lost, reply_code},
};
use crate::sink::{Claim, SinkError};

/// How the names of locks begin.
pub(crate) const FENCE_PREFIX: &str = "pgevents.fence.";

/// Whether the broker is asked to let one relay of a slot publish at a time.
///
/// The lock is a queue that belongs to the relay's connection and goes with it (`exclusive`). A
/// relay that stood still has lost its connection before the next one gets the lock, and what was
/// on its way over it with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fence {
    /// Yes, unless the user may not declare the queue.
    #[default]
    Auto,
    /// Yes, always.
    On,
    /// No.
    Off,
}

/// Takes the lock for a stream, or finds that another connection has it.
///
/// # Errors
///
/// The connection broke, or the user may not declare the queue and has to.
pub(super) async fn claim(
    connection: &Connection,
    broker: &Broker,
    fence: Fence,
    stream: &str,
) -> Result<Claim, SinkError> {
    let name = short(&format!("{FENCE_PREFIX}{stream}"));
    let Ok(declared) = timeout(CONNECT_TIMEOUT, declare(connection, name.clone())).await else {
        return Err(SinkError::Slow {
            address: broker.url.to_string(),
            limit: CONNECT_TIMEOUT,
        });
    };
    let Err(source) = declared else {
        return Ok(Claim::Sole);
    };
    match (reply_code(&source), fence) {
        // RESOURCE_LOCKED: the queue belongs to another connection.
        (Some(405), _) => Ok(Claim::Taken),
        (Some(403), Fence::On) => Err(SinkError::Refused {
            what: format!("lock the stream by the queue {:?}", name.as_str()),
            remedy: format!(
                "let the user {:?} configure queues whose names begin with {FENCE_PREFIX} \
                 (rabbitmqctl set_permissions), or use --fence off",
                broker.url.user()
            ),
            source: Box::new(source),
        }),
        (Some(403), Fence::Auto | Fence::Off) => Ok(Claim::Unknown(name.as_str().to_owned())),
        _ => Err(lost(source)),
    }
}

/// On a channel of its own, as a refusal closes it.
async fn declare(connection: &Connection, name: ShortString) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name, options, FieldTable::default())
        .await?;
    channel.close(200, "locked".into()).await
}
