use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use tokio::time::timeout;

use super::{NAME, PATIENCE, STREAMING, Stage};
use crate::chaos::error::ChaosError;
use crate::chaos::violation::Violation;
use crate::dist;
use crate::lab::{LabError, Postgres, Process, Proxy, RELAY_ROLE, RabbitMq};

impl Stage {
    /// Starts a relay after the last one has ended.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn start_relay(&mut self) -> Result<Instant, ChaosError> {
        self.note_relay();
        let started = Instant::now();
        let next = start(
            &self.program,
            &self.postgres,
            &self.to_postgres,
            &self.rabbitmq,
            &self.to_rabbitmq,
        )?;
        self.chronicle.add_relay(&next);
        self.relay = next;
        Ok(started)
    }

    /// `kill -9` of the relay.
    ///
    /// # Errors
    ///
    /// [`LabError::Late`] when it does not die.
    pub async fn kill_relay(&mut self) -> Result<(), ChaosError> {
        self.note_relay();
        self.relay.signal(Signal::KILL);
        self.relay.exit().await?;
        Ok(())
    }

    /// Waits for the end of the relay, which must have this code and say why in its last line.
    ///
    /// # Errors
    ///
    /// [`Violation::Ended`] otherwise.
    pub async fn relay_ends(&mut self, code: i32, cause: &str) -> Result<(), ChaosError> {
        let expected = format!("code {code} and a last line with {cause:?}");
        let ended = |found: String| Violation::Ended {
            found,
            expected: expected.clone(),
        };
        let Ok(status) = timeout(PATIENCE, self.relay.ended()).await else {
            return Err(ended(format!("nothing in {} s", PATIENCE.as_secs())).into());
        };
        let log = self.relay.stderr();
        let last = log.since(log.len().saturating_sub(1)).concat();
        let says = last.contains(r#""level":"ERROR""#) && last.contains(cause);
        match status.code() == Some(code) && says {
            true => Ok(()),
            false => Err(ended(format!("{status} and {last}")).into()),
        }
    }

    /// Waits for the clean end of a relay that was asked to stop.
    ///
    /// # Errors
    ///
    /// [`Violation::Ended`] otherwise.
    pub async fn relay_stops(&mut self) -> Result<(), ChaosError> {
        let found = match timeout(PATIENCE, self.relay.ended()).await {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(_) => format!("nothing in {} s", PATIENCE.as_secs()),
        };
        let expected = "code 0".to_owned();
        Err(Violation::Ended { found, expected }.into())
    }

    /// Waits until the relay logs a line with `text`, at or after line `from`.
    ///
    /// # Errors
    ///
    /// [`Violation::Silent`] when it does not.
    pub async fn relay_says(&self, from: usize, text: &'static str) -> Result<(), ChaosError> {
        let log = self.relay.stderr();
        let said = self.relay.line(log, from, text, |line| line.contains(text));
        match said.await {
            Ok(_) => Ok(()),
            Err(_) => Err(Violation::Silent { text }.into()),
        }
    }

    /// Notes how much memory the relay took.
    pub fn note_relay(&mut self) {
        if let Some(peak) = self.relay.memory_bytes("VmHWM") {
            self.peak_memory = self.peak_memory.max(peak);
        }
    }

    /// Sessions that the present relay has begun.
    pub fn sessions(&self) -> u64 {
        let lines = self.relay.stderr().since(0);
        let begun = |line: &&String| line.contains(STREAMING);
        lines.iter().filter(begun).count() as u64
    }
}

/// Starts a relay that reaches both servers through the proxies.
pub(super) fn start(
    program: &Path,
    postgres: &Postgres,
    to_postgres: &Proxy,
    rabbitmq: &RabbitMq,
    to_rabbitmq: &Proxy,
) -> Result<Process, ChaosError> {
    let binary = dist::built(program.to_owned()).map_err(LabError::from)?;
    let url = format!(
        "amqp://{}:{}@127.0.0.1:{}/%2f",
        rabbitmq.user(),
        rabbitmq.password(),
        to_rabbitmq.port()
    );
    let mut command = Command::new(binary);
    command
        .args(["producer", "--log-format", "json"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", to_postgres.port().to_string())
        .env("PGDATABASE", NAME)
        .env("PGUSER", RELAY_ROLE)
        .env("PGPASSWORD", postgres.relay_password())
        .env("PGSLOT", NAME)
        .env("RABBITMQ_URL", url)
        .env("RABBITMQ_EXCHANGE", NAME);
    Ok(Process::start("relay", &mut command, Signal::KILL)?)
}
