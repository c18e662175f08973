//! What arrives, when, and whether it is everything.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::amqp::{Broker, Connection, Frame, Method, message_count};
use super::load;

/// Messages that the broker may send ahead of acknowledgements.
const PREFETCH: u16 = 5_000;

/// Everything that has arrived.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// Row and time in microseconds since 1970, in the order of arrival.
    pub events: Vec<(u64, i64)>,
    /// Rows that never came.
    pub lost: u64,
    /// Messages beyond the first of each row.
    pub duplicated: u64,
    /// Messages whose row is not the next one.
    pub out_of_order: u64,
}

/// A consumer of one queue.
#[derive(Debug)]
pub struct Consumer {
    connection: Connection,
    broker: Broker,
    queue: String,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Broker")
    }
}

impl Consumer {
    /// Subscribes.
    pub fn start(broker: &Broker, queue: &str) -> anyhow::Result<Self> {
        let mut connection = Connection::open(broker)?;
        connection.call(&Method::new(60, 10).u32(0).u16(PREFETCH).bits(0))?;
        let consume = Method::new(60, 20).u16(0).short(queue).short("compare");
        connection.cast(&consume.bits(0).table(&[]))?;
        Ok(Self {
            connection,
            broker: broker.clone(),
            queue: queue.to_owned(),
        })
    }

    /// Takes messages until rows 1 to `count` have come, or nothing comes for a while.
    pub fn take(&mut self, count: u64) -> anyhow::Result<Arrivals> {
        let mut arrivals = Arrivals::default();
        let mut seen = vec![false; count as usize];
        let (mut missing, mut next) = (count, 1);
        let mut body = Vec::new();
        let (mut size, mut tag) = (0, 0);
        while missing > 0 {
            if let Err(silence) = self.connection.fill() {
                eprintln!("{missing} rows have not come: {silence:#}");
                break;
            }
            let now = unix_micros();
            let before = tag;
            while let Some(frame) = self.connection.frame()? {
                match frame {
                    Frame::Method(60, 60, arguments) => tag = delivery_tag(arguments)?,
                    Frame::Method(60, 21, _) => {}
                    Frame::Method(class, number, _) => bail!("unexpected {class}.{number}"),
                    Frame::Header(length) => {
                        size = length;
                        body.clear();
                    }
                    Frame::Body(part) => body.extend_from_slice(part),
                }
                if size == 0 || body.len() as u64 != size {
                    continue;
                }
                size = 0;
                let id = load::id_of(&body)
                    .filter(|id| (1..=count).contains(id))
                    .with_context(|| format!("no event: {}", String::from_utf8_lossy(&body)))?;
                arrivals.events.push((id, now));
                arrivals.out_of_order += u64::from(id != next);
                next = id + 1;
                match std::mem::replace(&mut seen[id as usize - 1], true) {
                    true => arrivals.duplicated += 1,
                    false => missing -= 1,
                }
            }
            // One acknowledgement for all that came with one read.
            if tag != before {
                self.connection
                    .cast(&Method::new(60, 80).u64(tag).bits(1))?;
            }
        }
        arrivals.lost = missing;
        Ok(arrivals)
    }

    /// Ends the subscription and counts what is left in the queue: more than there should be.
    pub fn end(self) -> anyhow::Result<u64> {
        self.connection.close()?;
        message_count(&self.broker, &self.queue)
    }
}

fn delivery_tag(arguments: &[u8]) -> anyhow::Result<u64> {
    let consumer = usize::from(*arguments.first().context("read a delivery")?);
    let tag = arguments
        .get(1 + consumer..9 + consumer)
        .context("read a delivery")?;
    Ok(u64::from_be_bytes(tag.try_into()?))
}

/// The time in microseconds since 1970, by the clock that the server takes commit times from.
pub fn unix_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
