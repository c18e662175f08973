//! The memory of a walsender over many changes and many changes of tables.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::lab::{Lab, Process, memory_bytes};

/// Changes between two looks at the walsender.
const BATCH: u64 = 20_000;

/// Longest time that a walsender may take for one batch.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes a table whose rows have all that the plugin handles in its own way.
const CHANGED: &str = "
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE readings (id bigint PRIMARY KEY, at timestamptz, note text, amount numeric, data jsonb,
        tags text[], pair pair, raw bytea, large text);
    ALTER TABLE readings ALTER COLUMN large SET STORAGE EXTERNAL;
    ALTER TABLE readings REPLICA IDENTITY FULL;
    INSERT INTO readings SELECT 0, now(), 'x', 1, '{}', '{a}', ROW(1, 'b')::pair, 'r', repeat('large', 1000)";

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Row changes.
    pub changes: u64,
    /// Tables that are changed in every round.
    pub tables: u32,
    /// Rounds of changes of tables.
    pub rounds: u32,
}

/// Anonymous memory of the walsender in bytes: its own, without what it shares with others.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// Most in the first quarter, in which caches fill.
    pub before: u64,
    /// Most in the last quarter.
    pub after: u64,
}

impl Growth {
    /// By how much the last quarter passes the first one, in bytes.
    pub fn bytes(self) -> u64 {
        self.after.saturating_sub(self.before)
    }

    fn of(samples: &[u64]) -> Self {
        let quarter = (samples.len() / 4).max(1);
        let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
        Self {
            before: most(&samples[..quarter]),
            after: most(&samples[samples.len() - quarter..]),
        }
    }
}

/// Streams the changes of a lab's slot to nowhere, and says how the walsender's memory grew: over
/// row changes, and over changes of tables.
///
/// # Panics
///
/// When the server refuses, or the walsender does not keep up.
pub async fn run(lab: &Lab, size: Size) -> [Growth; 2] {
    lab.sql(CHANGED).await;
    let reader = reader(lab).await;
    let client = lab.postgres().connect(lab.name()).await.expect("connect");
    let mut samples = Vec::new();
    for _ in 0..size.changes.div_ceil(BATCH) {
        execute(&client, &row_changes()).await;
        samples.push(sample(lab, &client, &reader).await);
    }
    let rows = Growth::of(&samples);
    samples.clear();
    for round in 0..size.rounds {
        execute(&client, &table_changes(size.tables, round)).await;
        samples.push(sample(lab, &client, &reader).await);
    }
    let tables = Growth::of(&samples);
    drop(reader);
    lab.slot_is_free().await;
    [rows, tables]
}

/// The same over `messages` logical messages that nobody asked for, outside of transactions and
/// within; their prefix has to be converted where the database is not UTF-8.
///
/// # Panics
///
/// The same.
pub async fn unwanted_messages(lab: &Lab, messages: u64) -> Growth {
    let reader = reader(lab).await;
    let client = lab.postgres().connect(lab.name()).await.expect("connect");
    let emit = format!(
        "SELECT count(pg_logical_emit_message(n % 2 = 0, 'é heartbeat:' || repeat('x', 90), ''))
           FROM generate_series(1, {BATCH}) n"
    );
    let mut samples = Vec::new();
    for _ in 0..messages.div_ceil(BATCH) {
        execute(&client, &emit).await;
        samples.push(sample(lab, &client, &reader).await);
    }
    drop(reader);
    lab.slot_is_free().await;
    Growth::of(&samples)
}

/// Makes the lab's slot and starts to read it to nowhere.
async fn reader(lab: &Lab) -> Process {
    lab.create_slot().await;
    let mut reader = lab.postgres().program("pg_recvlogical", lab.name());
    reader
        .args(["--slot", lab.name(), "--start", "--no-loop"])
        .args(["-f", "/dev/null", "--status-interval", "1"]);
    let reader = Process::start("pg_recvlogical", &mut reader, Signal::INT);
    reader.expect("start pg_recvlogical")
}

/// [`BATCH`] changes, 1,000 a transaction, a few of them of the row with a large value.
fn row_changes() -> String {
    let transactions = BATCH / 1_000;
    format!(
        "DO $$ BEGIN FOR i IN 1..{transactions} LOOP
           INSERT INTO readings SELECT n, now(), 'note ' || n, n / 7.0, jsonb_build_object('a', n),
               ARRAY['a', n::text], ROW(n, 'b')::pair, decode('00ff', 'hex')
             FROM generate_series(1, 327) n;
           UPDATE readings SET note = note || '!', amount = amount + 1 WHERE id > 0;
           DELETE FROM readings WHERE id > 0;
           FOR j IN 1..19 LOOP UPDATE readings SET amount = amount + 1 WHERE id = 0; END LOOP;
           COMMIT;
         END LOOP; END $$"
    )
}

/// Every table gets another column name and a row; as many tables come and go.
fn table_changes(tables: u32, round: u32) -> String {
    let (from, to) = match round % 2 {
        0 => ("a", "b"),
        _ => ("b", "a"),
    };
    format!(
        "DO $$ BEGIN FOR i IN 1..{tables} LOOP
           EXECUTE format('CREATE TABLE IF NOT EXISTS kept_%s (id int, {from} text)', i);
           EXECUTE format('INSERT INTO kept_%s VALUES (1)', i);
           EXECUTE format('ALTER TABLE kept_%s RENAME COLUMN {from} TO {to}', i);
           EXECUTE format('INSERT INTO kept_%s VALUES (2)', i);
           EXECUTE format('CREATE TABLE gone_%s (id int PRIMARY KEY, a text, b numeric[])', i);
           EXECUTE format('INSERT INTO gone_%s VALUES (1)', i);
           EXECUTE format('DROP TABLE gone_%s', i);
           COMMIT;
         END LOOP; END $$"
    )
}

async fn execute(client: &Client, statements: &str) {
    let outcome = client.batch_execute(statements).await;
    outcome.unwrap_or_else(|error| panic!("run {statements}: {error:?}"));
}

/// The walsender's memory once it has sent everything.
async fn sample(lab: &Lab, client: &Client, reader: &Process) -> u64 {
    let query = format!(
        "SELECT active_pid, coalesce(sent_lsn >= $1, false) FROM pg_replication_slots
           LEFT JOIN pg_stat_replication ON pid = active_pid WHERE slot_name = '{}'",
        lab.name()
    );
    let end = "SELECT pg_current_wal_lsn()";
    let end: tokio_postgres::types::PgLsn = client.query_one(end, &[]).await.expect("ask").get(0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let row = client.query_one(&query, &[&end]).await.expect("ask");
        match (row.get::<_, Option<i32>>(0), row.get(1)) {
            (Some(walsender), true) => {
                return memory_bytes(walsender, "RssAnon").expect("the walsender runs");
            }
            _ if Instant::now() > deadline || reader.status().is_some() => {
                panic!("the walsender does not keep up: {}", reader.tail());
            }
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}
