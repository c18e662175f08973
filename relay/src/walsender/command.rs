use std::time::Duration;

use fallible_iterator::FallibleIterator;
use pgevents_proto::Lsn;
use postgres_protocol::message::{backend::Message, frontend};

use super::{
    login::{Session, unexpected},
    reader::Reader,
};
use crate::postgres::{PostgresError, Stream, quote_identifier};

/// Who the server is, from `IDENTIFY_SYSTEM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Identifier of the cluster, the same on its standbys.
    pub id: u64,
    /// Timeline, one more after each promotion.
    pub timeline: u32,
}

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

    /// Says after what silence of the relay the server gives this session up. While the server replays
    /// a transaction of which nothing is sent it reads what the relay says, and answers, only once half
    /// of that has passed. Source: PostgreSQL `src/backend/replication/walsender.c`, WalSndUpdateProgress.
    ///
    /// # Errors
    ///
    /// A refusal, or a broken connection.
    pub async fn set_timeout(&mut self, timeout: Duration) -> Result<(), PostgresError> {
        let command = format!("SET wal_sender_timeout = {}", timeout.as_millis());
        self.send(|out| frontend::query(&command, out)).await?;
        while !matches!(self.message().await?, Message::ReadyForQuery(_)) {}
        Ok(())
    }

    /// Starts to stream the transactions that end after `from`, or after the slot's position if that
    /// is further on.
    ///
    /// # Errors
    ///
    /// A refusal: the slot is in use, gone or lost, or the plugin does not take an option.
    pub async fn stream(
        mut self,
        slot: &str,
        from: Lsn,
        options: &[(&str, String)],
    ) -> Result<(Reader, tokio::io::WriteHalf<Stream>), PostgresError> {
        let command = start_replication(slot, from, options);
        self.send(|out| frontend::query(&command, out)).await?;
        // postgres-protocol does not know CopyBothResponse, so it is looked for first.
        while self.input.is_empty() {
            self.fill().await?;
        }
        if self.input[0] != b'W' {
            self.message().await?;
            return Err(PostgresError::Protocol(
                "START_REPLICATION without a stream".into(),
            ));
        }
        let (stream, input, config) = self.into_parts();
        let (read, write) = tokio::io::split(stream);
        Ok((Reader::new(read, input, config), write))
    }
}

/// The command that starts logical decoding; 0/0 means where the slot stands. Replication commands
/// take no parameters, so names and values are quoted here.
pub fn start_replication(slot: &str, from: Lsn, options: &[(&str, String)]) -> String {
    let slot = quote_identifier(slot);
    let mut command = format!("START_REPLICATION SLOT {slot} LOGICAL {from}");
    for (n, (name, value)) in options.iter().enumerate() {
        let separator = if n == 0 { " (" } else { ", " };
        let (name, value) = (quote_identifier(name), quote_value(value));
        command.push_str(&format!("{separator}{name} {value}"));
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

    fn check(options: &[(&str, &str)], expected: &str) {
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let command = start_replication("s", Lsn(0x1_0000_0002), &options);
        assert_eq!(
            command,
            format!("START_REPLICATION SLOT \"s\" LOGICAL 1/2{expected}")
        );
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        check(&[], "");
        check(
            &[("tables", "public.users")],
            " (\"tables\" 'public.users')",
        );
        check(
            &[("tables", "a.o'b, \"c\".d\\*"), ("skip-noop", "true")],
            " (\"tables\" 'a.o''b, \"c\".d\\*', \"skip-noop\" 'true')",
        );
        check(&[("a\"b", "';--\0")], " (\"a\"\"b\" ''';--')");
    }
}
