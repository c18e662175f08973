//! `consumer_debug`: shows what arrives, for people and scripts.

mod diff;
mod filter;
mod message;
mod settings;
mod view;

use std::{
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::{Stream, future::poll_fn};
use lapin::{
    Channel,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    io::{AsyncWriteExt, Stdout, stdout},
    time::{sleep, timeout},
};
use tracing::{info, warn};

pub use filter::{EventAction, Filter};
pub use settings::{QueueType, Settings};
pub use view::View;

use crate::{
    backoff::Backoff,
    exit::{Chain, Exit, Fate},
    heartbeat,
    shutdown::Shutdown,
    sink::{
        SinkError,
        amqp::{Exchange, ExchangeDeclare, connect, declare_exchange, reply_code, short},
        stdout_failure,
    },
    throttle::Failures,
};
use message::Arrived;

/// Messages that the broker may send ahead of the acknowledgements.
const PREFETCH: u16 = 200;

/// Longest time for declaring queue and bindings.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Prints every message of the queue that passes the filter until a stop is requested. A message is
/// acknowledged when it is printed and flushed, or has not passed.
///
/// # Errors
///
/// What an operator has to mend; its [`SinkError::fate`] holds the exit code.
pub async fn run(config: &Settings, shutdown: &Shutdown) -> Result<(), SinkError> {
    let (mut backoff, mut failures) = (Backoff::new(), Failures::default());
    let mut output = stdout();
    loop {
        let failure = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            failure = consume(config, &mut output, &mut backoff) => failure,
        };
        match failure.fate() {
            Fate::Stop(Exit::Clean) => return Ok(()),
            Fate::Stop(_) => return Err(failure),
            Fate::Retry | Fate::Wait => {
                let delay = backoff.next(fastrand::f64());
                let delay_ms = delay.as_millis() as u64;
                let text = Chain(&failure).to_string();
                if let Some(times) = failures.due(&text, Instant::now()) {
                    warn!(delay_ms, times, "{text}: reconnect");
                }
                tokio::select! {
                    () = sleep(delay) => {}
                    () = shutdown.requested() => return Ok(()),
                }
            }
        }
    }
}

/// One connection, until it fails.
async fn consume(config: &Settings, output: &mut Stdout, backoff: &mut Backoff) -> SinkError {
    let opened = async {
        let (connection, channel) = connect(&config.broker, "pgevents consumer_debug").await?;
        let exchange = Exchange::events(&config.broker);
        declare_exchange(&channel, &config.broker, exchange, ExchangeDeclare::Declare).await?;
        let Ok(consumer) = timeout(SETUP_TIMEOUT, subscribe(config, &channel)).await else {
            let address = config.broker.url.to_string();
            return Err(SinkError::Slow {
                address,
                limit: SETUP_TIMEOUT,
            });
        };
        Ok((connection, consumer?))
    };
    // The connection ends when it is dropped.
    let (_connection, mut consumer) = match opened.await {
        Ok(opened) => opened,
        Err(failure) => return failure,
    };
    backoff.reset();
    info!(
        queue = config.queue,
        exchange = config.broker.exchange,
        broker = %config.broker.url,
        binding_keys = config.binding_keys.join(","),
        "waiting for events"
    );
    let _working = heartbeat::working();
    let mut text = Vec::new();
    loop {
        if let Err(failure) = print_arrived(config, &mut consumer, output, &mut text).await {
            return failure;
        }
    }
}

/// Declares the queue with its bindings and asks for its messages.
async fn subscribe(config: &Settings, channel: &Channel) -> Result<lapin::Consumer, SinkError> {
    let queue = short(&config.queue);
    let mut arguments = FieldTable::default();
    match config.queue_type {
        QueueType::Classic => {}
        QueueType::Quorum => {
            let kind = AMQPValue::LongString("quorum".into());
            arguments.insert(ShortString::from("x-queue-type"), kind);
        }
    }
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel
        .queue_declare(queue.clone(), options, arguments)
        .await;
    declared.map_err(|source| refused(config, source))?;
    for key in &config.binding_keys {
        let exchange = short(&config.broker.exchange);
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind(queue.clone(), exchange, short(key), options, arguments);
        bound.await.map_err(|source| refused(config, source))?;
    }
    let limited = channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await;
    limited.map_err(|source| refused(config, source))?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel
        .basic_consume(queue, ShortString::default(), options, arguments)
        .await;
    consumer.map_err(|source| refused(config, source))
}

/// Prints what has arrived, waiting for one message at least, and acknowledges it together.
async fn print_arrived(
    config: &Settings,
    consumer: &mut lapin::Consumer,
    output: &mut Stdout,
    text: &mut Vec<u8>,
) -> Result<(), SinkError> {
    text.clear();
    let mut last = take(config, text, next(consumer).await?);
    while let Some(delivery) = next_if_arrived(consumer).await? {
        last = take(config, text, delivery);
    }
    if !text.is_empty() {
        output.write_all(text).await.map_err(stdout_failure)?;
        output.flush().await.map_err(stdout_failure)?;
    }
    let acked = last.acker.ack(BasicAckOptions { multiple: true }).await;
    acked.map_err(|source| SinkError::Lost(Box::new(source)))?;
    Ok(())
}

fn take(config: &Settings, text: &mut Vec<u8>, delivery: Delivery) -> Delivery {
    let message_id = delivery.properties.message_id().as_ref();
    let message = Arrived {
        routing_key: delivery.routing_key.as_str(),
        message_id: message_id.map_or("", |id| id.as_str()),
        body: &delivery.data,
    };
    let body = match config.view.reads() || !config.filter.is_open() {
        true => serde_json::from_slice(&delivery.data).ok(),
        false => None,
    };
    if config.filter.passes(body.as_ref()) {
        config.view.show(message, body.as_ref(), text);
    }
    delivery
}

async fn next(consumer: &mut lapin::Consumer) -> Result<Delivery, SinkError> {
    delivery(poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx)).await)
}

async fn next_if_arrived(consumer: &mut lapin::Consumer) -> Result<Option<Delivery>, SinkError> {
    let arrived = poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *consumer).poll_next(cx) {
            Poll::Ready(delivery) => Some(delivery),
            Poll::Pending => None,
        })
    });
    arrived.await.map(delivery).transpose()
}

fn delivery(arrived: Option<lapin::Result<Delivery>>) -> Result<Delivery, SinkError> {
    let lost = |source| SinkError::Lost(Box::new(source));
    match arrived {
        Some(delivery) => delivery.map_err(lost),
        // The queue was deleted.
        None => Err(lost(
            std::io::Error::other("the broker has cancelled the consumer").into(),
        )),
    }
}

fn refused(config: &Settings, source: lapin::Error) -> SinkError {
    let source = Box::new(source);
    let what = format!("read queue {:?}", config.queue);
    let remedy = match reply_code(&source) {
        // PRECONDITION_FAILED
        Some(406) => "it exists with other properties; name another one in RABBITMQ_QUEUE_NAME, \
                      use --queue-type, or delete it"
            .to_owned(),
        // ACCESS_REFUSED
        Some(403) => {
            format!(
                "give {:?} the permission to configure and read it",
                config.broker.url.user()
            )
        }
        Some(_) | None => return SinkError::Lost(source),
    };
    SinkError::Refused {
        what,
        remedy,
        source,
    }
}
