use std::io;

use tokio::io::{AsyncWriteExt, Stdout, stdout};

use super::{Claim, Health, Limits, Outcome, Outgoing, Sink, SinkError, stdout_failure};
use crate::delivery::Sent;

/// Events as lines of standard output. An event has arrived when its line is written and flushed.
#[derive(Debug)]
pub struct Lines {
    stdout: Stdout,
    lines: Vec<u8>,
    /// Bytes of `lines` that are written, not necessarily flushed.
    written: usize,
    pending: Vec<Outcome>,
}

impl Lines {
    /// Standard output of this process.
    pub fn new() -> Self {
        Self {
            stdout: stdout(),
            lines: Vec::new(),
            written: 0,
            pending: Vec::new(),
        }
    }
}

impl Sink for Lines {
    fn publish(&mut self, number: u64, message: Outgoing<'_>) {
        self.lines.extend_from_slice(message.body);
        self.lines.push(b'\n');
        self.pending.push(Outcome::Confirmed(Sent {
            number,
            bytes: message.body.len() as u64,
        }));
    }

    async fn claim(&mut self, _stream: &str) -> Result<Claim, SinkError> {
        Ok(Claim::Sole)
    }

    async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return std::future::pending().await;
        }
        while self.written < self.lines.len() {
            match self.stdout.write(&self.lines[self.written..]).await {
                Ok(0) => return Err(SinkError::Stdout(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => self.written += bytes,
                Err(error) => return Err(stdout_failure(error)),
            }
        }
        self.stdout.flush().await.map_err(stdout_failure)?;
        self.lines.clear();
        self.written = 0;
        outcomes.append(&mut self.pending);
        Ok(())
    }

    fn health(&self) -> Result<Health, SinkError> {
        Ok(Health::Unknown)
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}
