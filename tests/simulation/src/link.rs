use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::world::Shared;

/// The connection between the relay and the walsender, as bytes: what was sent may stay under way
/// for any time, and arrives in pieces of any size.
#[derive(Debug, Default)]
pub struct Link {
    /// Which connection it is: one that was cut or closed has the number of an earlier one.
    pub number: u64,
    /// From the server, on its way.
    outbound: VecDeque<u8>,
    /// From the server, at the relay.
    arrived: VecDeque<u8>,
    /// The server has closed its side; the relay sees it behind what was sent before.
    closing: bool,
    closed: bool,
    /// From the relay, not read by the server.
    inbound: Vec<u8>,
    /// How many of these bytes have been looked at.
    seen: usize,
    /// The most of them that fit into the connection.
    pub room: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What the relay says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A standby status update: everything before the position may be forgotten.
    Report {
        /// The position.
        flush: u64,
        /// Whether the server is to answer at once.
        ask: bool,
    },
    /// CopyDone: the relay ends the stream.
    Done,
    /// Terminate.
    Goodbye,
}

impl Link {
    /// A new connection takes the place of the old one.
    pub fn connect(&mut self, room: usize) {
        let number = self.number + 1;
        self.cut();
        *self = Self {
            number,
            room,
            ..Self::default()
        };
    }

    /// The connection is gone, with everything under way; the relay notices when it uses it.
    pub fn cut(&mut self) {
        self.number += 1;
        self.outbound.clear();
        self.arrived.clear();
        self.inbound.clear();
        self.seen = 0;
        self.wake();
    }

    /// The server sends one message of the stream: CopyData.
    pub fn send(&mut self, payload: &[&[u8]]) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length + 4).unwrap_or(u32::MAX);
        self.outbound.push_back(b'd');
        self.outbound.extend(length.to_be_bytes());
        for part in payload {
            self.outbound.extend(*part);
        }
    }

    /// The server ends the stream, with CopyDone, and closes.
    pub fn close(&mut self) {
        self.outbound.extend([b'c', 0, 0, 0, 4]);
        self.closing = true;
    }

    /// Bytes from the server that are on their way.
    pub fn under_way(&self) -> usize {
        self.outbound.len()
    }

    /// So many bytes arrive at the relay.
    pub fn arrive(&mut self, bytes: usize) {
        self.arrived.extend(self.outbound.drain(..bytes));
        self.closed |= self.closing && self.outbound.is_empty();
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    /// Whether there is room for more from the relay.
    pub fn takes_more(&self) -> bool {
        self.inbound.len() < self.room
    }

    /// The server reads the next message of the relay, if it is there as a whole.
    pub fn receive(&mut self) -> Option<Said> {
        let (said, length) = parse(&self.inbound)?;
        self.inbound.drain(..length);
        self.seen = self.seen.saturating_sub(length);
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
        Some(said)
    }

    /// The next message that the relay has written as a whole and nobody has looked at.
    pub fn look(&mut self) -> Option<Said> {
        let (said, length) = parse(&self.inbound[self.seen..])?;
        self.seen += length;
        Some(said)
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// The message at the start of these bytes, and its length. Source: PostgreSQL docs, "Streaming
/// Replication Protocol" and "Message Formats".
fn parse(bytes: &[u8]) -> Option<(Said, usize)> {
    let (tag, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    let body = rest.get(4..length)?;
    let said = match (tag, body) {
        (b'c', _) => Said::Done,
        (b'd', [b'r', fields @ ..]) => Said::Report {
            flush: u64::from_be_bytes(*fields.get(8..)?.first_chunk()?),
            ask: *fields.last()? != 0,
        },
        _ => Said::Goodbye,
    };
    Some((said, 1 + length))
}

/// The relay's end of a connection; its halves are one of these each.
#[derive(Debug)]
pub struct Half {
    pub world: Shared,
    pub number: u64,
}

impl AsyncRead for Half {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut world = self.world.lock();
        let link = &mut world.link;
        if link.number != self.number {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let count = out.remaining().min(link.arrived.len());
        if count == 0 && !link.closed {
            link.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for byte in link.arrived.drain(..count) {
            out.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut world = self.world.lock();
        let link = &mut world.link;
        if link.number != self.number {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes
            .len()
            .min(link.room.saturating_sub(link.inbound.len()));
        if count == 0 {
            link.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        link.inbound.extend(&bytes[..count]);
        while let Some(said) = world.link.look() {
            world.hears(said);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
