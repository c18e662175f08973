//! A relay under measurement, whichever it is: its process, its slot, what both cost.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use pgevents_proto::Lsn;
use pgevents_tests::dist;
use pgevents_tests::lab::{Postgres, Process, RELAY_ROLE, RabbitMq};
use rustix::process::Signal;
use tokio::time::{Instant, interval};
use tokio_postgres::Client;

use crate::{before, process_clock};

/// Who brings the changes to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// The plugin and the relay of this project.
    Pgevents,
    /// wal2json, and a relay for it with the same publisher.
    Wal2json,
    /// The plugin of this project, and the relay of another build.
    Before,
}

/// How often the slot's position is looked at; the server does not tell.
const LOOK: Duration = Duration::from_millis(10);

/// Longest time without any progress of the slot.
const PATIENCE: Duration = Duration::from_secs(60);

impl Contender {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pgevents, Self::Wal2json];

    /// Name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgevents => "pgevents",
            Self::Wal2json => "wal2json",
            Self::Before => "pgevents before",
        }
    }

    fn plugin(self) -> &'static str {
        match self {
            Self::Pgevents | Self::Before => "pgevents",
            Self::Wal2json => "wal2json",
        }
    }

    /// Makes the slot `name` with the plugin.
    pub async fn make_slot(self, name: &str, client: &Client) -> anyhow::Result<()> {
        let create = "SELECT pg_create_logical_replication_slot($1, $2)";
        client
            .execute(create, &[&name, &self.plugin()])
            .await
            .context("make the slot")?;
        Ok(())
    }

    fn command(self) -> anyhow::Result<Command> {
        Ok(match self {
            Self::Pgevents => {
                let mut command = Command::new(dist::built(dist::relay())?);
                command.arg("producer");
                command
            }
            Self::Before => {
                let mut command = Command::new(before::relay()?);
                command.arg("producer");
                command
            }
            Self::Wal2json => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("wal2json-relay");
                command
            }
        })
    }
}

/// A relay that streams.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    streams_since: Instant,
    walsender: i32,
    slot: String,
    before: [Duration; 2],
}

/// What a run has cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// CPU time of the relay.
    pub relay_cpu: Duration,
    /// CPU time of the walsender.
    pub walsender_cpu: Duration,
    /// Resident memory of the relay after the run, in bytes.
    pub relay_bytes: u64,
    /// The same at its highest.
    pub relay_peak_bytes: u64,
    /// Resident memory of the walsender after the run, in bytes, shared memory included.
    pub walsender_bytes: u64,
}

impl Relay {
    /// Starts the relay for the slot `name` and the exchange of the same name, and waits until it
    /// streams.
    pub async fn start(
        contender: Contender,
        name: &str,
        database: &str,
        postgres: &Postgres,
        rabbitmq: &RabbitMq,
        client: &Client,
    ) -> anyhow::Result<Self> {
        let mut command = contender.command()?;
        command
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", postgres.port().to_string())
            .env("PGDATABASE", database)
            .env("PGUSER", RELAY_ROLE)
            .env("PGPASSWORD", postgres.relay_password())
            .env("PGSLOT", name)
            .env("RABBITMQ_URL", rabbitmq.url())
            .env("RABBITMQ_EXCHANGE", name);
        let process = Process::start(contender.name(), &mut command, Signal::TERM)?;
        let streams = |line: &str| line.contains("streaming");
        process.line(process.stderr(), 0, "stream", streams).await?;
        let mut relay = Self {
            process,
            streams_since: Instant::now(),
            walsender: 0,
            slot: name.to_owned(),
            before: [Duration::ZERO; 2],
        };
        relay.walsender = relay.active_pid(client).await?;
        relay.before = relay.cpu()?;
        Ok(relay)
    }

    /// When it said that it streams.
    pub fn streams_since(&self) -> std::time::Instant {
        self.streams_since.into_std()
    }

    /// Waits until everything before `end` has been acknowledged to PostgreSQL, which is after the
    /// broker has confirmed it.
    pub async fn confirmed(&self, client: &Client, end: Lsn) -> anyhow::Result<()> {
        let mut look = interval(LOOK);
        let (mut last, mut moved) = (Lsn(0), Instant::now());
        loop {
            look.tick().await;
            let row = client
                .query_one(
                    "SELECT confirmed_flush_lsn::text FROM pg_replication_slots \
                     WHERE slot_name = $1",
                    &[&self.slot],
                )
                .await?;
            let now: Lsn = row.get::<_, &str>(0).parse()?;
            if now >= end {
                return Ok(());
            }
            if now > last {
                (last, moved) = (now, Instant::now());
            }
            if let Some(status) = self.process.status() {
                bail!("the relay ended ({status}):\n{}", self.process.tail());
            }
            if moved.elapsed() > PATIENCE {
                bail!("no progress at {now}:\n{}", self.process.tail());
            }
        }
    }

    /// What it has cost since it began to stream.
    pub fn cost(&self) -> anyhow::Result<Cost> {
        let now = self.cpu()?;
        Ok(Cost {
            relay_cpu: now[0].saturating_sub(self.before[0]),
            walsender_cpu: now[1].saturating_sub(self.before[1]),
            relay_bytes: process_clock::resident_bytes(self.process.pid())?,
            relay_peak_bytes: process_clock::peak_bytes(self.process.pid())?,
            walsender_bytes: process_clock::resident_bytes(self.walsender)?,
        })
    }

    /// Ends the relay, waits for its walsender, and drops the slot.
    pub async fn end(self, client: &Client) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM);
        self.process.exit().await?;
        let mut look = interval(LOOK);
        let begun = Instant::now();
        // The slot is free when its walsender has seen the end of the connection.
        while self.active_pid(client).await.is_ok() {
            if begun.elapsed() > PATIENCE {
                bail!("the walsender of {} does not end", self.slot);
            }
            look.tick().await;
        }
        let sql = "SELECT pg_drop_replication_slot($1)";
        client
            .execute(sql, &[&self.slot])
            .await
            .context("drop the slot")?;
        Ok(())
    }

    async fn active_pid(&self, client: &Client) -> anyhow::Result<i32> {
        let sql = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        let row = client.query_one(sql, &[&self.slot]).await?;
        row.get::<_, Option<i32>>(0)
            .context("the slot is not in use")
    }

    fn cpu(&self) -> anyhow::Result<[Duration; 2]> {
        Ok([
            process_clock::cpu_time_of_threads(self.process.pid())?,
            process_clock::cpu_time(self.walsender)?,
        ])
    }
}
