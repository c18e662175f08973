//! The least that a reader of a replication slot can do: log in, start, count, throw away. Source:
//! PostgreSQL docs, "Message Flow" and "Streaming Replication Protocol".

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use pgevents_proto::Lsn;
use pgevents_relay::postgres::{PINNED, Password, Postgres};
use pgevents_relay::replication::start_replication;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::{backend, frontend};

/// Room for input in bytes: several writes of the server come with one system call.
const ROOM: usize = 128 * 1024;

/// Longest silence of the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a reader that is not woken lets input gather.
const PAUSE: Duration = Duration::from_millis(1);

/// How the reader learns that there is input. It matters to the walsender: whoever sends to a
/// sleeping reader pays for waking it, on a virtual machine several microseconds each time, which
/// is more than any plugin does for a small transaction. A reader that has other work, as a relay
/// under load has, is not asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// It looks once a millisecond, as if it had other work in between.
    Busy,
    /// It sleeps until the server's data wakes it.
    Woken,
}

impl Reader {
    /// One line for the head of a summary.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Busy => "the reader looks for data once a millisecond",
            Self::Woken => "the reader sleeps until data wakes it",
        }
    }
}

/// What has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Output of the plugin in bytes, without the protocol around it.
    pub bytes: u64,
    /// Number of the plugin's messages.
    pub messages: u64,
}

/// A connection to a walsender.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    input: BytesMut,
    reader: Reader,
    /// Whether the last read took everything that was there.
    drained: bool,
    /// Process id of the walsender.
    pub walsender: i32,
}

impl Stream {
    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// When the server refuses, or cannot be reached.
    pub fn connect(address: &Postgres, reader: Reader) -> anyhow::Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = Self {
            socket,
            input: BytesMut::new(),
            reader,
            drained: true,
            walsender: 0,
        };
        let who = [
            ("user", address.user.as_str()),
            ("database", address.database.as_str()),
            ("replication", "database"),
        ];
        let parameters = who.into_iter().chain(PINNED);
        stream.send(|out| frontend::startup_message(parameters, out))?;
        let Password::Given(password) = &address.password else {
            bail!("a password is needed");
        };
        stream.log_in(password.reveal().as_bytes())?;
        Ok(stream)
    }

    /// Starts to stream where the slot stands.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub fn start(&mut self, slot: &str, options: &[(&str, Option<&str>)]) -> anyhow::Result<()> {
        let command = start_replication(slot, Lsn::INVALID, options);
        self.send(|out| frontend::query(&command, out))
    }

    /// Reads until the server says that it has sent everything before `end`.
    ///
    /// # Errors
    ///
    /// When the server ends the stream.
    pub fn read_until(&mut self, end: Lsn) -> anyhow::Result<Counted> {
        /// Tag, start of the data, server's position, server's clock.
        const XLOG_DATA_HEADER: usize = 1 + 8 + 8 + 8;
        let mut counted = Counted::default();
        loop {
            while let Some((tag, body)) = self.message()? {
                match (tag, body.first()) {
                    (b'd', Some(b'w')) => {
                        let length = body.len().checked_sub(XLOG_DATA_HEADER);
                        counted.bytes += length.context("a short message")? as u64;
                        counted.messages += 1;
                    }
                    (b'd', Some(b'k')) => {
                        let position = body.get(1..9).context("a short keepalive")?;
                        if u64::from_be_bytes(position.try_into()?) >= end.0 {
                            return Ok(counted);
                        }
                    }
                    (b'E', _) => bail!("the server refuses: {}", String::from_utf8_lossy(&body)),
                    // The beginning of the stream, and notices before it (decoderbufs sends one).
                    (b'W' | b'N' | b'S', _) => {}
                    (tag, _) => bail!("unexpected message {:?}", char::from(tag)),
                }
            }
            self.fill()?;
        }
    }

    /// Ends the stream without acknowledging anything. The slot is free afterwards: the server
    /// gives it up before it closes the connection.
    ///
    /// # Errors
    ///
    /// When the server does not close the connection.
    pub fn end(mut self) -> anyhow::Result<()> {
        // CopyDone and Terminate
        self.socket
            .write_all(&[b'c', 0, 0, 0, 4, b'X', 0, 0, 0, 4])?;
        let mut rest = [0; 4096];
        loop {
            match self.socket.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).context("wait for the end of the walsender"),
            }
        }
    }

    fn log_in(&mut self, password: &[u8]) -> anyhow::Result<()> {
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        loop {
            let Some(message) = backend::Message::parse(&mut self.input)? else {
                self.fill()?;
                continue;
            };
            match message {
                backend::Message::AuthenticationSasl(offer) => {
                    let known = offer.mechanisms().any(|name| Ok(name == SCRAM_SHA_256))?;
                    if !known {
                        bail!("the server does not offer {SCRAM_SHA_256}");
                    }
                    self.send(|out| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)
                    })?;
                }
                backend::Message::AuthenticationSaslContinue(challenge) => {
                    scram.update(challenge.data())?;
                    self.send(|out| frontend::sasl_response(scram.message(), out))?;
                }
                backend::Message::AuthenticationSaslFinal(last) => scram.finish(last.data())?,
                backend::Message::BackendKeyData(key) => self.walsender = key.process_id(),
                backend::Message::ReadyForQuery(_) => return Ok(()),
                backend::Message::ErrorResponse(_) => bail!("the server refuses the login"),
                _ => {}
            }
        }
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> anyhow::Result<()> {
        let mut output = BytesMut::new();
        write(&mut output)?;
        self.socket
            .write_all(&output)
            .context("write to the server")
    }

    /// The next whole message that has arrived: its tag and its body.
    fn message(&mut self) -> anyhow::Result<Option<(u8, BytesMut)>> {
        let Some((&[tag, a, b, c, d], _)) = self.input.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length < 4 {
            bail!("a message of impossible length");
        }
        if self.input.len() <= length {
            return Ok(None);
        }
        let mut message = self.input.split_to(length + 1);
        message.advance(5);
        Ok(Some((tag, message)))
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let length = self.input.len();
        self.input.resize(length + ROOM, 0);
        if self.reader == Reader::Busy && self.drained {
            sleep(PAUSE);
        }
        let read = self.socket.read(&mut self.input[length..]);
        let count = *read.as_ref().unwrap_or(&0);
        self.input.truncate(length + count);
        self.drained = count < ROOM;
        match read.context("read from the server")? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}
