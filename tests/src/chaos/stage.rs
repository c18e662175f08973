//! What a campaign plays on: servers of its own, a proxy before each, one relay, one queue.

mod broker;
mod relay;
mod slot;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::campaign::Plan;
use super::chronicle::Chronicle;
use super::error::ChaosError;
use super::fault::Fault;
use super::ledger::Ledger;
use super::load::{Load, TABLES};
use super::oracle;
use super::witness::Witness;
use crate::lab::{Postgres, Process, Proxy, RabbitMq, SmallDisk, connect};

pub use slot::create_slot;

/// Database, slot, exchange and queue.
pub const NAME: &str = "chaos";

/// Longest wait for anything that a server does.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the relay logs when a session has begun.
pub const STREAMING: &str = r#""message":"streaming""#;

/// Transactions above 64 kB are decoded from spill files, and a relay that stands still for longer
/// than the server's patience is thrown out, within a round.
const SETTINGS: &str = "logical_decoding_work_mem = 64kB
wal_sender_timeout = 4s
checkpoint_timeout = 30s
autovacuum = off";

/// Enough for the largest transaction of the load, several times over.
const SPILL_DISK: u64 = 64 << 20;

const POLL: Duration = Duration::from_millis(20);

/// Everything that faults happen to, and everything that watches.
pub struct Stage {
    /// The server.
    pub postgres: Postgres,
    /// Where its spill files go, if a disk was asked for.
    pub spill: Option<SmallDisk>,
    /// A connection past the proxy.
    pub client: Client,
    /// Between relay and PostgreSQL.
    pub to_postgres: Proxy,
    /// The broker.
    pub rabbitmq: RabbitMq,
    /// Between relay and broker.
    pub to_rabbitmq: Proxy,
    /// What a relay is started from.
    program: PathBuf,
    /// The relay, which may have ended.
    pub relay: Process,
    /// The writer.
    pub load: Load,
    /// What the consumer has seen.
    pub ledger: Arc<Ledger>,
    /// The consumer.
    pub witness: Witness,
    /// Crashes of backends that the campaign made since PostgreSQL was started.
    pub crashes: u64,
    /// Highest resident memory of any relay so far, in bytes.
    pub peak_memory: u64,
    /// What everybody has said.
    pub chronicle: Chronicle,
}

impl Stage {
    /// Starts servers, relay, writer and consumer; with a small disk for spill files, which must be
    /// [possible](SmallDisk::possible), if the plan fills it.
    ///
    /// # Errors
    ///
    /// What does not start.
    pub async fn set(plan: &Plan) -> Result<Self, ChaosError> {
        let settings = format!("{SETTINGS}\n{}", plan.settings);
        let (postgres, rabbitmq) = tokio::join!(Postgres::start(&settings), RabbitMq::start());
        let (mut postgres, rabbitmq) = (postgres?, rabbitmq?);
        let spill = match plan.schedule.has(Fault::DiskFull) {
            true => Some(postgres.move_spill(SPILL_DISK).await?),
            false => None,
        };
        let to_postgres = Proxy::to(postgres.port()).await?;
        let to_rabbitmq = Proxy::to(rabbitmq.port()).await?;
        let administrator = postgres.connect("postgres").await?;
        administrator
            .batch_execute(&format!("CREATE DATABASE {NAME}"))
            .await?;
        let client = postgres.connect(NAME).await?;
        client.batch_execute(TABLES).await?;
        oracle::create(&client).await?;
        create_slot(&client).await?;
        let ledger = Arc::new(Ledger::new());
        let mut witness = Witness::new(rabbitmq.url(), NAME, Arc::clone(&ledger));
        broker::declare(&rabbitmq).await?;
        rabbitmq.write_queue_table()?;
        witness.attach().await?;
        let relay = relay::start(
            &plan.relay,
            &postgres,
            &to_postgres,
            &rabbitmq,
            &to_rabbitmq,
        )?;
        let mut chronicle = Chronicle::default();
        chronicle.add_relay(&relay);
        chronicle.add_postgres(&postgres);
        chronicle.add_rabbitmq(&rabbitmq);
        let load = Load::start(postgres.superuser(NAME), plan.rate, plan.seed);
        Ok(Self {
            postgres,
            spill,
            client,
            to_postgres,
            rabbitmq,
            to_rabbitmq,
            program: plan.relay.clone(),
            relay,
            load,
            ledger,
            witness,
            crashes: 0,
            peak_memory: 0,
            chronicle,
        })
    }

    /// Backends that crashed according to the log of the present server.
    pub fn crashes_in_log(&self) -> u64 {
        let lines = self.postgres.process().stderr().since(0);
        let crash =
            |line: &&String| line.contains("all server processes terminated; reinitializing");
        lines.iter().filter(crash).count() as u64
    }

    /// Starts PostgreSQL again after it was killed.
    ///
    /// # Errors
    ///
    /// What does not start.
    pub async fn run_postgres(&mut self) -> Result<(), ChaosError> {
        self.postgres.run().await?;
        self.crashes = 0;
        self.chronicle.add_postgres(&self.postgres);
        Ok(())
    }

    /// Starts the broker again after it was killed.
    ///
    /// # Errors
    ///
    /// What does not start.
    pub async fn run_rabbitmq(&mut self) -> Result<(), ChaosError> {
        self.rabbitmq.run().await?;
        self.chronicle.add_rabbitmq(&self.rabbitmq);
        Ok(())
    }

    /// Connects the campaign again, after the server was away; says when that worked.
    ///
    /// # Errors
    ///
    /// [`ChaosError::Late`] when it does not come back.
    pub async fn reconnect(&mut self) -> Result<Instant, ChaosError> {
        let database = self.postgres.superuser(NAME);
        let connected = async {
            loop {
                match connect(&database).await {
                    Ok(client) => return client,
                    Err(_) => sleep(POLL).await,
                }
            }
        };
        let Ok(client) = timeout(PATIENCE, connected).await else {
            return Err(ChaosError::Late {
                awaited: "connection to PostgreSQL",
                patience: PATIENCE,
            });
        };
        self.client = client;
        Ok(Instant::now())
    }
}
