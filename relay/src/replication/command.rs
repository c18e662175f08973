use std::time::Duration;

use fallible_iterator::FallibleIterator;
use pgevents_proto::Lsn;
use postgres_protocol::message::{backend::Message, frontend};
use tokio::io::{ReadHalf, WriteHalf};

use super::{
    login::{Session, unexpected},
    reader::Reader,
};
use crate::{
    position::{System, Timelines},
    postgres::{PostgresError, Stream, quote_identifier},
};

impl Session {
    /// Asks the server who it is, and up to where its WAL is written.
    ///
    /// # Errors
    ///
    /// A refusal, or an answer that cannot be.
    pub async fn identify_system(&mut self) -> Result<(System, Lsn), PostgresError> {
        self.send(|out| frontend::query("IDENTIFY_SYSTEM", out))
            .await?;
        let mut system = None;
        loop {
            match self.message().await? {
                Message::DataRow(row) => {
                    let ranges: Vec<_> = row.ranges().collect().map_err(unexpected)?;
                    let field = |n: usize| {
                        let range = ranges.get(n)?.clone()?;
                        std::str::from_utf8(row.buffer().get(range)?).ok()
                    };
                    let id = field(0).and_then(|text| text.parse().ok());
                    let timeline = field(1).and_then(|text| text.parse().ok());
                    let wal_end = field(2).and_then(|text| text.parse().ok());
                    system = id.zip(timeline).zip(wal_end);
                }
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        let ((id, timeline), wal_end) = system
            .ok_or_else(|| PostgresError::Protocol("IDENTIFY_SYSTEM without an answer".into()))?;
        Ok((System { id, timeline }, wal_end))
    }

    /// Asks on which timelines the WAL was written that leads to this one.
    ///
    /// # Errors
    ///
    /// A broken connection.
    pub async fn timelines(&mut self, current: u32) -> Result<Timelines, PostgresError> {
        // The first has no history.
        if current <= 1 {
            return Ok(Timelines::only(current));
        }
        let command = format!("TIMELINE_HISTORY {current}");
        self.send(|out| frontend::query(&command, out)).await?;
        let mut timelines = Timelines::only(current);
        loop {
            match self.message().await {
                Ok(Message::DataRow(row)) => {
                    let ranges: Vec<_> = row.ranges().collect().map_err(unexpected)?;
                    let content = ranges.get(1).cloned().flatten();
                    let content = content.and_then(|range| row.buffer().get(range));
                    timelines = Timelines::read(current, content.unwrap_or_default());
                }
                Ok(Message::ReadyForQuery(_)) => return Ok(timelines),
                Ok(_) => {}
                // The file is not there any more: nothing is lost with it.
                Err(PostgresError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says after what silence of the relay the server gives this session up. While the server
    /// replays a transaction of which nothing is sent it reads what the relay says, and answers,
    /// only once half of that has passed. Source: PostgreSQL `src/backend/replication/walsender.c`,
    /// WalSndUpdateProgress.
    ///
    /// # Errors
    ///
    /// A refusal, or a broken connection.
    pub async fn set_timeout(&mut self, timeout: Duration) -> Result<(), PostgresError> {
        let command = format!("SET wal_sender_timeout = {}", timeout.as_millis());
        self.execute(&command).await
    }

    /// Starts to stream the transactions that end after `from`, or after the slot's position if
    /// that is further on.
    ///
    /// # Errors
    ///
    /// A refusal: the slot is in use, gone or lost, or the plugin does not take an option.
    pub async fn stream(
        mut self,
        slot: &str,
        from: Lsn,
        options: &[(&str, Option<&str>)],
    ) -> Result<(Reader<ReadHalf<Stream>>, WriteHalf<Stream>), PostgresError> {
        let command = start_replication(slot, from, options);
        self.send(|out| frontend::query(&command, out)).await?;
        self.copy_both().await?;
        let (stream, input, config) = self.into_parts();
        let (read, write) = tokio::io::split(stream);
        Ok((Reader::new(read, input, config), write))
    }
}

impl Session {
    /// Waits until the server says that the stream begins, and leaves that to be read.
    async fn copy_both(&mut self) -> Result<(), PostgresError> {
        loop {
            match self.input.first() {
                // postgres-protocol does not know CopyBothResponse.
                Some(b'W') => return Ok(()),
                // Notices, parameters and notifications may come at any time.
                Some(b'N' | b'S' | b'A') => {
                    if Message::parse(&mut self.input)
                        .map_err(unexpected)?
                        .is_none()
                    {
                        self.fill().await?;
                    }
                }
                Some(_) => {
                    self.message().await?;
                    let text = "START_REPLICATION without a stream";
                    return Err(PostgresError::Protocol(text.into()));
                }
                None => self.fill().await?,
            }
        }
    }
}

/// The command that starts logical decoding; 0/0 means where the slot stands. Replication commands
/// take no parameters, so names and values are quoted here.
pub fn start_replication(slot: &str, from: Lsn, options: &[(&str, Option<&str>)]) -> String {
    let slot = quote_identifier(slot);
    let mut command = format!("START_REPLICATION SLOT {slot} LOGICAL {from}");
    for (n, (name, value)) in options.iter().enumerate() {
        command.push_str(if n == 0 { " (" } else { ", " });
        command.push_str(&quote_identifier(name));
        if let Some(value) = value {
            command.push(' ');
            command.push_str(&quote_value(value));
        }
    }
    if !options.is_empty() {
        command.push(')');
    }
    command
}

/// A string of the replication grammar, which knows no escape but the doubled quote. Source:
/// PostgreSQL `src/backend/replication/repl_scanner.l`.
fn quote_value(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''").replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &[(&str, Option<&str>)], expected: &str) {
        let command = start_replication("s", Lsn(0x1_0000_0002), options);
        assert_eq!(
            command,
            format!("START_REPLICATION SLOT \"s\" LOGICAL 1/2{expected}")
        );
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        check(&[], "");
        check(
            &[("tables", Some("public.users"))],
            " (\"tables\" 'public.users')",
        );
        check(
            &[("tables", Some("a.o'b, \"c\".d\\*")), ("skip-noop", None)],
            " (\"tables\" 'a.o''b, \"c\".d\\*', \"skip-noop\")",
        );
        check(&[("a\"b", Some("';--\0"))], " (\"a\"\"b\" ''';--')");
    }
}
