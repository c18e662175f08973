//! What one end-to-end test owns: a database, a replication slot, an exchange with a queue, and
//! the relays it starts, on servers that the tests of one process share.
//!
//! The methods panic where a test could only fail; the panic prints the logs of both sides.

mod authority;
mod monitoring;
mod prometheus;
mod proxy;
mod queue;
mod relay;
mod server;
mod slot;
mod tidiness;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use lapin::ExchangeKind;
use tokio_postgres::{Client, Row};

pub use pgevents_servers::{
    Certified, Encryption, Log, PATIENCE, Postgres, Process, RELAY_ROLE, RabbitMq,
    ServerError as LabError, SmallDisk, connect, memory_bytes,
};

pub use self::authority::{Authority, ClientFiles};
pub use self::monitoring::{Monitoring, Page};
pub use self::prometheus::Prometheus;
pub use self::proxy::{Direction, Fault, Proxy};
pub use self::queue::{Event, Queue};
pub use self::relay::{Relay, RelayCommand};
use self::server::{Server, shared_postgres, shared_rabbitmq};
use self::tidiness::Tidiness;

/// One test's share of the servers.
#[derive(Debug)]
pub struct Lab {
    name: String,
    postgres: Server<Postgres>,
    rabbitmq: Server<RabbitMq>,
    client: Client,
    tidiness: Tidiness,
}

impl Lab {
    /// A lab on the shared servers, with its slot already made: every row that the test writes
    /// from now on must arrive.
    pub async fn start() -> Self {
        let lab = Self::without_slot().await;
        lab.create_slot().await;
        lab
    }

    /// A lab on the shared servers, without a slot.
    pub async fn without_slot() -> Self {
        let postgres = shared_postgres().await;
        Self::on(
            Server::Shared(postgres),
            Server::Shared(shared_rabbitmq().await),
        )
        .await
    }

    /// A lab on the shared servers whose database has this encoding, without a slot.
    pub async fn with_encoding(encoding: &str) -> Self {
        let options = format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        let postgres = Server::Shared(shared_postgres().await);
        let rabbitmq = Server::Shared(shared_rabbitmq().await);
        Self::with_database(postgres, rabbitmq, &options).await
    }

    /// A lab with a PostgreSQL of its own that has these lines in postgresql.conf; no slot.
    pub async fn with_own_postgres(settings: &str) -> Self {
        Self::with_postgres_under(&[], settings).await
    }

    /// The same, run by a program with arguments: `["valgrind", "--quiet"]`.
    pub async fn with_postgres_under(runner: &[&str], settings: &str) -> Self {
        let postgres = Postgres::start_under(runner, settings)
            .await
            .unwrap_or_else(|error| fail(&error));
        Self::on(
            Server::Own(Box::new(postgres)),
            Server::Shared(shared_rabbitmq().await),
        )
        .await
    }

    /// A lab with a RabbitMQ of its own, and its slot already made.
    pub async fn with_own_rabbitmq() -> Self {
        let rabbitmq = RabbitMq::start().await.unwrap_or_else(|error| fail(&error));
        let lab = Self::on(
            Server::Shared(shared_postgres().await),
            Server::Own(Box::new(rabbitmq)),
        )
        .await;
        lab.create_slot().await;
        lab
    }

    /// A lab with a PostgreSQL of its own, as in [`Lab::with_own_postgres`], and a RabbitMQ of its
    /// own; no slot.
    pub async fn with_own_servers(settings: &str) -> Self {
        let (postgres, rabbitmq) = tokio::join!(Postgres::start(settings), RabbitMq::start());
        let postgres = postgres.unwrap_or_else(|error| fail(&error));
        let rabbitmq = rabbitmq.unwrap_or_else(|error| fail(&error));
        Self::on(
            Server::Own(Box::new(postgres)),
            Server::Own(Box::new(rabbitmq)),
        )
        .await
    }

    /// A lab with a PostgreSQL of its own that offers TLS, and its slot already made. The relay's
    /// role cannot log in without TLS there.
    pub async fn with_encrypted_postgres(encryption: Encryption<'_>) -> Self {
        let postgres = Postgres::start_encrypted(encryption).await;
        let postgres = postgres.unwrap_or_else(|error| fail(&error));
        let rabbitmq = Server::Shared(shared_rabbitmq().await);
        let lab = Self::on(Server::Own(Box::new(postgres)), rabbitmq).await;
        lab.create_slot().await;
        lab
    }

    /// A lab with a RabbitMQ of its own that also listens with TLS, and its slot already made.
    pub async fn with_encrypted_rabbitmq(encryption: Encryption<'_>) -> Self {
        let rabbitmq = RabbitMq::start_encrypted(encryption).await;
        let rabbitmq = rabbitmq.unwrap_or_else(|error| fail(&error));
        let postgres = Server::Shared(shared_postgres().await);
        let lab = Self::on(postgres, Server::Own(Box::new(rabbitmq))).await;
        lab.create_slot().await;
        lab
    }

    async fn on(postgres: Server<Postgres>, rabbitmq: Server<RabbitMq>) -> Self {
        Self::with_database(postgres, rabbitmq, "").await
    }

    async fn with_database(
        postgres: Server<Postgres>,
        rabbitmq: Server<RabbitMq>,
        options: &str,
    ) -> Self {
        let name = unique_name();
        let client = new_database(postgres.get(), &name, options).await;
        let tidiness = Tidiness::new(&name, postgres.get().process());
        Self {
            name,
            postgres,
            rabbitmq,
            client,
            tidiness,
        }
    }

    /// Name of this lab's database, slot, exchange and queue.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that holds the database.
    pub fn postgres(&self) -> &Postgres {
        self.postgres.get()
    }

    /// The test's own server, to kill and start.
    ///
    /// # Panics
    ///
    /// When the server is shared.
    pub fn own_postgres(&mut self) -> &mut Postgres {
        self.postgres.own()
    }

    /// The broker.
    pub fn rabbitmq(&self) -> &RabbitMq {
        self.rabbitmq.get()
    }

    /// The test's own broker, to kill and start.
    ///
    /// # Panics
    ///
    /// When the broker is shared.
    pub fn own_rabbitmq(&mut self) -> &mut RabbitMq {
        self.rabbitmq.own()
    }

    /// Runs one or more statements as superuser, in one transaction if they do not say otherwise.
    ///
    /// # Panics
    ///
    /// When the server refuses one.
    pub async fn sql(&self, statements: &str) {
        let outcome = self.client.batch_execute(statements).await;
        outcome.unwrap_or_else(|error| panic!("run {statements}: {error:?}"));
    }

    /// Runs a statement that PostgreSQL refuses, and returns its message.
    ///
    /// # Panics
    ///
    /// When the server accepts it.
    pub async fn refused(&self, statement: &str) -> String {
        match self.attempt(statement).await {
            Ok(()) => panic!("{statement} was accepted"),
            Err(refusal) => refusal,
        }
    }

    /// Runs a statement that PostgreSQL may refuse.
    ///
    /// # Errors
    ///
    /// The refusal's message.
    ///
    /// # Panics
    ///
    /// When the server ends the connection instead.
    pub async fn attempt(&self, statement: &str) -> Result<(), String> {
        let outcome = self.client.batch_execute(statement).await;
        outcome.map_err(|error| match error.as_db_error() {
            Some(refusal) => refusal.to_string(),
            None => panic!("run {statement}: {error:?}"),
        })
    }

    /// The one row of a query.
    ///
    /// # Panics
    ///
    /// When there is not exactly one.
    pub async fn row(&self, query: &str) -> Row {
        let outcome = self.client.query_one(query, &[]).await;
        outcome.unwrap_or_else(|error| panic!("run {query}: {error:?}"))
    }

    /// The rows of a query.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub async fn rows(&self, query: &str) -> Vec<Row> {
        let outcome = self.client.query(query, &[]).await;
        outcome.unwrap_or_else(|error| panic!("run {query}: {error:?}"))
    }

    /// Connects anew, after the server was away.
    pub async fn reconnect(&mut self) {
        let connected = self.postgres().connect(&self.name).await;
        self.client = connected.unwrap_or_else(|error| fail(&error));
        let server = std::sync::Arc::clone(self.postgres().process());
        self.tidiness.follow(&server);
    }

    /// Declares this lab's exchange with a queue that receives everything, and reads it.
    pub async fn queue(&self) -> Queue {
        self.queue_named(&self.name, "classic").await
    }

    /// A second queue that receives everything, so that a test can see how far the relay is while
    /// nobody reads the first one.
    pub async fn witness(&self) -> Queue {
        let name = format!("{}_witness", self.name);
        self.queue_named(&name, "classic").await
    }

    /// The same with a quorum queue, which RabbitMQ writes to disk before it confirms.
    pub async fn quorum_queue(&self) -> Queue {
        self.queue_named(&self.name, "quorum").await
    }

    /// Declares a fanout exchange of this name with a queue, for events that no other queue wants.
    pub async fn parking_queue(&self, exchange: &str) -> Queue {
        let url = self.rabbitmq().url();
        Queue::bind(&url, exchange, ExchangeKind::Fanout, exchange, "classic").await
    }

    async fn queue_named(&self, name: &str, kind: &'static str) -> Queue {
        let url = self.rabbitmq().url();
        Queue::bind(&url, &self.name, ExchangeKind::Topic, name, kind).await
    }

    /// A relay for this lab's database, slot and exchange, ready to be changed and started.
    pub fn producer(&self) -> RelayCommand<'_> {
        self.command("producer")
    }

    /// Another subcommand of the relay's binary for this lab's database, slot and exchange.
    pub fn command(&self, subcommand: &'static str) -> RelayCommand<'_> {
        let postgres = self.postgres();
        let command = RelayCommand::new(subcommand, &self.tidiness)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", &postgres.port().to_string())
            .env("PGDATABASE", &self.name)
            .env("PGUSER", RELAY_ROLE)
            .env("PGPASSWORD", postgres.relay_password())
            .env("PGSLOT", &self.name);
        command
            .env("RABBITMQ_URL", &self.rabbitmq().url())
            .env("RABBITMQ_EXCHANGE", &self.name)
    }

    /// A `consumer_debug` for this lab's exchange and queue, ready to be changed and started.
    pub fn consumer(&self) -> RelayCommand<'_> {
        RelayCommand::new("consumer_debug", &self.tidiness)
            .env("RABBITMQ_URL", &self.rabbitmq().url())
            .env("RABBITMQ_EXCHANGE", &self.name)
            .env("RABBITMQ_QUEUE_NAME", &self.name)
    }

    /// Declares that lines with this text are expected at WARN or above, in the relay's log or in
    /// the server's log for this database.
    pub fn allow(&mut self, text: &str) {
        self.tidiness.allow(text);
    }

    /// Stops the relays that still run, with SIGTERM.
    ///
    /// # Panics
    ///
    /// When one does not stop cleanly.
    pub async fn stop_relays(&self) {
        self.tidiness.stop_relays().await;
    }

    /// Ends the test: relays that still run must stop cleanly on SIGTERM, and no log may hold a
    /// warning or an error that was not allowed.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub async fn finish(mut self) {
        self.stop_relays().await;
        let name = &self.name;
        self.sql(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE database = '{name}' AND NOT active"
        ))
        .await;
        self.tidiness.check();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            let said = self.rabbitmq().last_lines();
            eprintln!("--- RabbitMQ (its last lines, every test):\n{said}");
        }
    }
}

async fn new_database(postgres: &Postgres, name: &str, options: &str) -> Client {
    let created = async {
        let administrator = postgres.connect("postgres").await?;
        administrator
            .batch_execute(&format!("CREATE DATABASE {name} {options}"))
            .await?;
        postgres.connect(name).await
    };
    created.await.unwrap_or_else(|error| fail(&error))
}

/// A name that PostgreSQL takes for databases and slots: of the test, so that logs can be read.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let thread = thread::current();
    let test = thread
        .name()
        .unwrap_or("test")
        .rsplit("::")
        .next()
        .unwrap_or("test");
    let letters = test
        .chars()
        .filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    let short: String = letters.take(50).collect();
    format!("{short}_{number}")
}

fn fail(error: &LabError) -> ! {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    panic!("{text}")
}
