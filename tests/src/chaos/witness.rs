//! The consumer: reads the queue under test all the time and hands every message to the ledger.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::checker::Message;
use super::error::ChaosError;
use super::ledger::Ledger;
use super::load::number_in;
use super::violation::Violation;

const TAG: &str = "witness";
const PREFETCH: u16 = 4_000;
const ACK_EVERY: u32 = 500;

/// How long a broker that has just started may refuse a reader: a quorum queue first elects a
/// leader.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(50);

/// A reader of one queue that can step aside.
pub struct Witness {
    url: String,
    queue: String,
    ledger: Arc<Ledger>,
    reading: Option<Reading>,
}

struct Reading {
    connection: Connection,
    channel: Channel,
    task: JoinHandle<Result<(), lapin::Error>>,
}

impl Witness {
    /// A witness that does not read yet.
    pub fn new(url: String, queue: &str, ledger: Arc<Ledger>) -> Self {
        Self {
            url,
            queue: queue.to_owned(),
            ledger,
            reading: None,
        }
    }

    /// Starts to read, as soon as the broker lets it.
    ///
    /// # Errors
    ///
    /// [`ChaosError::Late`] when it does not.
    pub async fn attach(&mut self) -> Result<(), ChaosError> {
        let opened = async {
            loop {
                match self.open().await {
                    Ok(reading) => return reading,
                    Err(_) => sleep(RETRY).await,
                }
            }
        };
        let reading = timeout(PATIENCE, opened).await;
        self.reading = Some(reading.map_err(|_| ChaosError::Late {
            awaited: "reader of the queue",
            patience: PATIENCE,
        })?);
        Ok(())
    }

    /// Stops to read, with everything that was delivered taken in and acknowledged.
    ///
    /// A quorum queue gives a new reader the next messages before those that a reader held when the
    /// broker died, which would look like a gap. So nobody reads while the broker dies.
    ///
    /// # Errors
    ///
    /// What the broker says.
    pub async fn detach(&mut self) -> Result<(), ChaosError> {
        let Some(reading) = self.reading.take() else {
            return Ok(());
        };
        let cancelled = reading
            .channel
            .basic_cancel(TAG.into(), BasicCancelOptions::default());
        cancelled.await?;
        match reading.task.await {
            Ok(outcome) => outcome?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
        // The channel is closed when the broker has read the acknowledgements before it.
        reading.channel.close(200, "done".into()).await?;
        reading.connection.close(200, "done".into()).await?;
        Ok(())
    }

    async fn open(&self) -> Result<Reading, lapin::Error> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let qos = BasicQosOptions::default();
        channel.basic_qos(PREFETCH, qos).await?;
        let options = BasicConsumeOptions::default();
        let queue = self.queue.as_str().into();
        let consumer = channel
            .basic_consume(queue, TAG.into(), options, FieldTable::default())
            .await?;
        let task = tokio::spawn(read(consumer, Arc::clone(&self.ledger)));
        Ok(Reading {
            connection,
            channel,
            task,
        })
    }
}

/// Reads until the consumer is cancelled; acknowledges what it has when no more is there.
async fn read(mut consumer: Consumer, ledger: Arc<Ledger>) -> Result<(), lapin::Error> {
    let mut unacknowledged = 0;
    let mut latest: Option<Delivery> = None;
    loop {
        let waiting = consumer.next();
        let next = match waiting.now_or_never() {
            Some(next) => next,
            None => {
                acknowledge(&mut latest, &mut unacknowledged).await?;
                consumer.next().await
            }
        };
        let Some(delivery) = next else {
            return acknowledge(&mut latest, &mut unacknowledged).await;
        };
        let delivery = delivery?;
        take(&delivery, &ledger);
        latest = Some(delivery);
        unacknowledged += 1;
        if unacknowledged >= ACK_EVERY {
            acknowledge(&mut latest, &mut unacknowledged).await?;
        }
    }
}

async fn acknowledge(latest: &mut Option<Delivery>, count: &mut u32) -> Result<(), lapin::Error> {
    *count = 0;
    if let Some(delivery) = latest.take() {
        let options = BasicAckOptions { multiple: true };
        delivery.acker.ack(options).await?;
    }
    Ok(())
}

fn take(delivery: &Delivery, ledger: &Ledger) {
    let Some(number) = number_in(&delivery.data) else {
        let body = String::from_utf8_lossy(&delivery.data).into_owned();
        return ledger.object(Violation::Foreign(body));
    };
    let id = delivery.properties.message_id();
    ledger.arrived(&Message {
        number,
        id: id.as_ref().map_or("", |id| id.as_str()),
        body: &delivery.data,
        redelivered: delivery.redelivered,
    });
}
