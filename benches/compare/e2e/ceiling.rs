//! What the broker can take: messages that were encoded before, from a bare connection.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::amqp::{Broker, Connection, Frame, Method, publish};
use super::consumer::unix_micros;
use super::load;

/// Messages that may be unconfirmed; the relay's own default.
const WINDOW: usize = 2_000;

/// When events were published.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The first byte, in microseconds since 1970.
    pub begun: i64,
    /// From the first byte to the last confirm.
    pub took: Duration,
}

/// Publishes `count` events into the exchange.
///
/// # Errors
///
/// When the broker refuses a message or goes away.
pub fn measure(broker: &Broker, exchange: &str, count: u64) -> anyhow::Result<Sent> {
    let mut frames = Vec::new();
    let mut ends = Vec::with_capacity(count as usize);
    for id in 1..=count {
        // The form of the relay's ids: system, position, commit time, index.
        let message_id = format!(
            "6712345678901234-{:016X}-306F5C5D7A000-{}",
            id / 100,
            id % 100
        );
        let body = load::event(id);
        publish(
            &mut frames,
            exchange,
            load::ROUTING_KEY,
            &message_id,
            1_795_000_000,
            body.as_bytes(),
        );
        ends.push(frames.len());
    }
    let mut connection = Connection::open(broker)?;
    connection.call(&Method::new(85, 10).bits(0))?;
    let (begun, start) = (unix_micros(), Instant::now());
    send(&mut connection, &frames, &ends)?;
    let took = start.elapsed();
    connection.close()?;
    Ok(Sent { begun, took })
}

fn send(connection: &mut Connection, frames: &[u8], ends: &[usize]) -> anyhow::Result<()> {
    // Acknowledgements may come in any order; `done` marks those beyond the first open one.
    let (mut sent, mut confirmed) = (0, 0);
    let mut done = vec![false; ends.len()];
    let mut first_open = 0;
    while confirmed < ends.len() {
        let until = (confirmed + WINDOW).min(ends.len());
        if until > sent {
            let from = if sent == 0 { 0 } else { ends[sent - 1] };
            connection.write(&frames[from..ends[until - 1]])?;
            sent = until;
        }
        connection.fill()?;
        while let Some(frame) = connection.frame()? {
            let Frame::Method(60, 80, arguments) = frame else {
                bail!("the broker does not take a message: {frame:?}");
            };
            let (tag, rest) = arguments.split_first_chunk().context("read a confirm")?;
            let last = u64::from_be_bytes(*tag) as usize;
            let multiple = rest.first().is_some_and(|bits| bits & 1 == 1);
            if last == 0 || last > sent {
                bail!("the broker confirms message {last} of {sent}");
            }
            let first = if multiple { first_open } else { last - 1 };
            for one in &mut done[first.min(last - 1)..last] {
                confirmed += usize::from(!std::mem::replace(one, true));
            }
            while done.get(first_open) == Some(&true) {
                first_open += 1;
            }
        }
    }
    Ok(())
}
