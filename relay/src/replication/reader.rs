use std::io;

use bytes::{Buf, Bytes, BytesMut};
use pgevents_proto::Lsn;
use postgres_protocol::message::backend;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::login::refusal;
use crate::postgres::{Postgres, PostgresError};

/// Room for input, in bytes: several frames of usual size come with one system call.
const ROOM: usize = 128 * 1024;

/// After a message that needed more room than this, the memory is given back.
const KEEP: usize = 1024 * 1024;

/// Longest message in bytes: one allocation of PostgreSQL (1 GiB) and its header.
const LONGEST: usize = (1 << 30) + 1024;

/// What the walsender says.
#[derive(Debug)]
pub enum Message {
    /// Output of the plugin.
    XLogData {
        /// Position of the last change in it.
        lsn: Lsn,
        /// One frame.
        frame: Bytes,
    },
    /// Everything before `wal_end` has been sent.
    Keepalive {
        /// The server's position.
        wal_end: Lsn,
        /// Whether it wants to hear from us at once.
        reply: bool,
    },
    /// The server has ended the stream, because we asked for it or because it shuts down.
    Done,
}

/// The reading half of a stream.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    input: BytesMut,
    config: Postgres,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// What comes over `stream`, after `input` that has come already; `config` names the server in
    /// errors.
    pub fn new(stream: R, input: BytesMut, config: Postgres) -> Self {
        Self {
            stream,
            input,
            config,
        }
    }

    /// The next message that has already arrived.
    ///
    /// # Errors
    ///
    /// What the server refused, or bytes that its protocol does not allow.
    pub fn message(&mut self) -> Result<Option<Message>, PostgresError> {
        while let Some((tag, body)) = self.split()? {
            match tag {
                b'd' => return copy_data(body).map(Some),
                b'c' => return Ok(Some(Message::Done)),
                b'E' => return Err(self.refused(&body)),
                // CopyBothResponse, and what may come at any time: notices, parameters,
                // notifications, and the end of the command after CopyDone.
                b'W' | b'N' | b'S' | b'A' | b'C' | b'Z' => {}
                _ => {
                    return Err(PostgresError::Protocol(
                        "unexpected message in a stream".into(),
                    ));
                }
            }
        }
        Ok(None)
    }

    /// Waits until more has arrived. May be given up at any time without loss.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn fill(&mut self) -> Result<(), PostgresError> {
        if self.input.capacity() > KEEP && self.input.len() < ROOM {
            self.input = BytesMut::from(&self.input[..]);
        }
        self.input.reserve(ROOM);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(PostgresError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(PostgresError::Lost(error)),
        }
    }

    /// Cuts the next whole message out of the input: its tag and its body.
    fn split(&mut self) -> Result<Option<(u8, Bytes)>, PostgresError> {
        let Some((&[tag, a, b, c, d], _)) = self.input.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=LONGEST).contains(&length) {
            return Err(PostgresError::Protocol(
                "message of impossible length".into(),
            ));
        }
        if self.input.len() <= length {
            // The buffer grows with what arrives, not with what a header promises.
            return Ok(None);
        }
        let mut message = self.input.split_to(length + 1).freeze();
        message.advance(5);
        Ok(Some((tag, message)))
    }

    fn refused(&self, body: &[u8]) -> PostgresError {
        let mut message = BytesMut::with_capacity(body.len() + 5);
        message.extend_from_slice(b"E");
        message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        message.extend_from_slice(body);
        match backend::Message::parse(&mut message) {
            Ok(Some(backend::Message::ErrorResponse(body))) => refusal(&body, &self.config),
            Ok(_) | Err(_) => PostgresError::Protocol("unreadable error".into()),
        }
    }
}

/// Source: PostgreSQL docs, "Streaming Replication Protocol", XLogData and Primary keepalive.
fn copy_data(mut body: Bytes) -> Result<Message, PostgresError> {
    // Tag, start of the data, server's position, server's clock.
    const XLOG_DATA_HEADER: usize = 1 + 8 + 8 + 8;
    match body.first() {
        Some(b'w') if body.len() >= XLOG_DATA_HEADER => {
            body.advance(1);
            let lsn = Lsn(body.get_u64());
            body.advance(8 + 8);
            Ok(Message::XLogData { lsn, frame: body })
        }
        Some(b'k') if body.len() == 1 + 8 + 8 + 1 => {
            body.advance(1);
            let wal_end = Lsn(body.get_u64());
            body.advance(8);
            Ok(Message::Keepalive {
                wal_end,
                reply: body.get_u8() != 0,
            })
        }
        _ => Err(PostgresError::Protocol(
            "unknown message in a stream".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_stream_are_told_apart() {
        let data = [&[b'w'][..], &7_u64.to_be_bytes(), &[0; 16], b"frame"].concat();
        let Ok(Message::XLogData { lsn: Lsn(7), frame }) = copy_data(data.into()) else {
            panic!("no data")
        };
        assert_eq!(frame, "frame");
        let keepalive = [&[b'k'][..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat();
        let Ok(Message::Keepalive {
            wal_end: Lsn(7),
            reply: true,
        }) = copy_data(keepalive.into())
        else {
            panic!("no keepalive")
        };
    }

    #[test]
    fn anything_else_is_an_error() {
        for body in [&b""[..], b"w", b"k", b"x", &[b'w'; 24], &[b'k'; 19]] {
            assert!(copy_data(Bytes::copy_from_slice(body)).is_err(), "{body:?}");
        }
    }
}
