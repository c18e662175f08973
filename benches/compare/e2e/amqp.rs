//! A bare AMQP 0-9-1 connection: one socket, one channel, frames written and read as they are. It
//! is the least that a client can cost. Source: AMQP 0-9-1 specification, sections 2.3 and 4.2.

mod method;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use pgevents_tests::lab::RabbitMq;

pub use self::method::{Method, publish};

/// Longest silence of the broker while something is awaited of it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Largest frame that is agreed to, in bytes; events of the comparisons fit into one.
const FRAME_MAX: u32 = 131_072;

/// The channel that everything happens on.
const CHANNEL: u16 = 1;

/// Types of frames.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const FRAME_END: u8 = 0xCE;

/// Where the broker is and who asks.
#[derive(Clone)]
pub struct Broker {
    port: u16,
    user: String,
    password: String,
}

impl Broker {
    /// A private broker.
    pub fn of(rabbitmq: &RabbitMq) -> Self {
        Self {
            port: rabbitmq.port(),
            user: rabbitmq.user().to_owned(),
            password: rabbitmq.password().to_owned(),
        }
    }
}

/// One frame that has arrived.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// A method: class, number, arguments.
    Method(u16, u16, &'a [u8]),
    /// The header of a message: size of its body in bytes.
    Header(u64),
    /// A part of a body.
    Body(&'a [u8]),
}

/// A connection with an open channel.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// How much of `input` has been taken.
    taken: usize,
}

impl Connection {
    /// Connects, logs in and opens the channel.
    pub fn open(broker: &Broker) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            stream,
            input: Vec::new(),
            taken: 0,
        };
        connection.write(b"AMQP\0\0\x09\x01")?;
        connection.await_method(10, 10)?;
        let response = format!("\0{}\0{}", broker.user, broker.password);
        let start_ok = Method::new(10, 11)
            .table(&[])
            .short("PLAIN")
            .long(&response)
            .short("en_US");
        connection.write(&start_ok.frame(0))?;
        connection.await_method(10, 30)?;
        // No heartbeats: every run is shorter than a broken connection would last.
        let tune_ok = Method::new(10, 31).u16(1).u32(FRAME_MAX).u16(0);
        connection.write(&tune_ok.frame(0))?;
        let open = Method::new(10, 40).short("/").short("").bits(0);
        connection.write(&open.frame(0))?;
        connection.await_method(10, 41)?;
        connection.call(&Method::new(20, 10).short(""))?;
        Ok(connection)
    }

    /// Sends a method and waits for its answer, whose number is one more; gives the answer's
    /// arguments.
    pub fn call(&mut self, method: &Method) -> anyhow::Result<Vec<u8>> {
        let (class, number) = method.name();
        self.write(&method.frame(CHANNEL))?;
        self.await_method(class, number + 1)
    }

    /// Sends a method that has no answer.
    pub fn cast(&mut self, method: &Method) -> anyhow::Result<()> {
        self.write(&method.frame(CHANNEL))
    }

    /// Writes whole frames.
    pub fn write(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(frames).context("write to the broker")
    }

    /// Waits until more has arrived.
    pub fn fill(&mut self) -> anyhow::Result<()> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let length = self.input.len();
        self.input.resize(length + 256 * 1024, 0);
        let read = self.stream.read(&mut self.input[length..]);
        self.input.truncate(length + *read.as_ref().unwrap_or(&0));
        match read.context("read from the broker")? {
            0 => bail!("the broker closed the connection"),
            _ => Ok(()),
        }
    }

    /// The next whole frame that has arrived.
    pub fn frame(&mut self) -> anyhow::Result<Option<Frame<'_>>> {
        loop {
            let rest = &self.input[self.taken..];
            let Some((&[kind, _, _, a, b, c, d], _)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if rest.len() < length + 8 {
                return Ok(None);
            }
            let from = self.taken + 7;
            self.taken = from + length + 1;
            if self.input[from + length] != FRAME_END {
                bail!("a frame of the broker does not end where it should");
            }
            let payload = &self.input[from..from + length];
            match (kind, payload) {
                (METHOD, &[a, b, c, d, ref arguments @ ..]) => {
                    let (class, number) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    if matches!((class, number), (10, 50) | (20, 40)) {
                        bail!("the broker closes: {}", String::from_utf8_lossy(arguments));
                    }
                    return Ok(Some(Frame::Method(class, number, arguments)));
                }
                (HEADER, &[_, _, _, _, ref rest @ ..]) => {
                    let (size, _) = rest.split_first_chunk().context("read a header")?;
                    return Ok(Some(Frame::Header(u64::from_be_bytes(*size))));
                }
                (BODY, payload) => return Ok(Some(Frame::Body(payload))),
                (HEARTBEAT, _) => {}
                _ => bail!("unknown frame of the broker"),
            }
        }
    }

    /// Closes the channel; everything sent before has been dealt with afterwards.
    pub fn close(mut self) -> anyhow::Result<()> {
        let close = Method::new(20, 40).u16(200).short("").u16(0).u16(0);
        self.call(&close).map(drop)
    }

    fn await_method(&mut self, class: u16, number: u16) -> anyhow::Result<Vec<u8>> {
        loop {
            while let Some(frame) = self.frame()? {
                match frame {
                    Frame::Method(c, n, arguments) if (c, n) == (class, number) => {
                        return Ok(arguments.to_vec());
                    }
                    // Of a consumer that ends: it comes again to another one.
                    Frame::Method(..) | Frame::Header(_) | Frame::Body(_) => {}
                }
            }
            self.fill()?;
        }
    }
}

/// Makes a durable topic exchange with a durable queue of that type and the same name behind it.
pub fn declare(broker: &Broker, name: &str, queue_type: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(broker)?;
    const DURABLE: u8 = 2;
    let exchange = Method::new(40, 10).u16(0).short(name).short("topic");
    connection.call(&exchange.bits(DURABLE).table(&[]))?;
    let queue = Method::new(50, 10).u16(0).short(name).bits(DURABLE);
    connection.call(&queue.table(&[("x-queue-type", queue_type)]))?;
    let binding = Method::new(50, 20)
        .u16(0)
        .short(name)
        .short(name)
        .short("#");
    connection.call(&binding.bits(0).table(&[]))?;
    connection.close()
}

/// Number of messages that are in a queue and with no consumer.
pub fn message_count(broker: &Broker, queue: &str) -> anyhow::Result<u64> {
    let mut connection = Connection::open(broker)?;
    const PASSIVE: u8 = 1;
    let look = Method::new(50, 10)
        .u16(0)
        .short(queue)
        .bits(PASSIVE)
        .table(&[]);
    let answer = connection.call(&look)?;
    let name = usize::from(*answer.first().context("read the queue's name")?);
    let count = answer
        .get(1 + name..5 + name)
        .context("read the queue's length")?;
    let count = u32::from_be_bytes(count.try_into()?);
    connection.close()?;
    Ok(count.into())
}

/// Removes exchange and queue with what is in it.
pub fn delete(broker: &Broker, name: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(broker)?;
    connection.call(&Method::new(50, 40).u16(0).short(name).bits(0))?;
    connection.call(&Method::new(40, 20).u16(0).short(name).bits(0))?;
    connection.close()
}
