//! The writer: one session that numbers its rows in commit order, whatever happens to the server.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::SinkExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, Error};

use crate::lab::connect;

/// The tables: every row has its number first. `n` of `accounts` changes, the other tables grow.
pub const TABLES: &str = "
    CREATE TABLE orders (n bigint PRIMARY KEY, note text, placed timestamptz DEFAULT now());
    ALTER TABLE orders REPLICA IDENTITY FULL;
    CREATE TABLE copied (n bigint PRIMARY KEY, price numeric, tags text[]);
    ALTER TABLE copied REPLICA IDENTITY FULL;
    CREATE TABLE accounts (n bigint, id int PRIMARY KEY, owner text);
    CREATE INDEX ON accounts (n);
    ALTER TABLE accounts REPLICA IDENTITY FULL";

/// Rows of the largest transaction.
pub const LARGEST_TRANSACTION: u64 = 2_000;

const ACCOUNTS: u64 = 100;
const RETRY: Duration = Duration::from_millis(20);

/// A running writer.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Highest number that is committed.
    committed: watch::Sender<u64>,
    wanted: watch::Sender<Wanted>,
    /// Whether the writer has come to rest.
    resting: watch::Sender<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Work,
    Rest,
}

impl Load {
    /// Starts to write `rate` rows a second into the [`TABLES`] of a database.
    pub fn start(database: Config, rate: u64, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            committed: watch::Sender::new(0),
            wanted: watch::Sender::new(Wanted::Work),
            resting: watch::Sender::new(false),
        });
        let writer = Writer {
            database,
            rate,
            rng: Rng::with_seed(seed),
            next: 1,
            shared: Arc::clone(&shared),
        };
        let task = tokio::spawn(writer.run());
        Self { shared, task }
    }

    /// Highest number that is known to be committed.
    pub fn committed(&self) -> u64 {
        *self.shared.committed.borrow()
    }

    /// Ends the open transaction and writes nothing until [`Load::resume`]; returns the highest
    /// number. Needs the server.
    pub async fn pause(&self) -> u64 {
        self.shared.wanted.send_replace(Wanted::Rest);
        let mut resting = self.shared.resting.subscribe();
        // The task holds the sender for as long as it runs.
        let _ = resting.wait_for(|resting| *resting).await;
        self.committed()
    }

    /// Goes on.
    pub fn resume(&self) {
        self.shared.wanted.send_replace(Wanted::Work);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The number of the row in an event of the [`TABLES`]; `None` when it is something else.
pub fn number_in(event: &[u8]) -> Option<u64> {
    const KEY: &[u8] = br#""new":{"n":"#;
    let place = event.windows(KEY.len()).position(|window| window == KEY)?;
    let rest = &event[place + KEY.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

struct Writer {
    database: Config,
    rate: u64,
    rng: Rng,
    next: u64,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            // The server may be away, or go away at any moment: that is what the campaign is for.
            if let Ok(client) = connect(&self.database).await
                && self.recover(&client).await.is_ok()
            {
                let _ = self.write(&client).await;
            }
            sleep(RETRY).await;
        }
    }

    /// A transaction whose commit was not answered may have happened: the tables know.
    async fn recover(&mut self, client: &Client) -> Result<(), Error> {
        let query = "SELECT greatest((SELECT max(n) FROM orders), (SELECT max(n) FROM copied),
                                     (SELECT max(n) FROM accounts), 0)";
        let last: i64 = client.query_one(query, &[]).await?.get(0);
        self.next = last as u64 + 1;
        self.shared.committed.send_replace(last as u64);
        Ok(())
    }

    async fn write(&mut self, client: &Client) -> Result<(), Error> {
        let mut wanted = self.shared.wanted.subscribe();
        let mut due = Instant::now();
        loop {
            if *wanted.borrow_and_update() == Wanted::Rest {
                self.shared.resting.send_replace(true);
                let _ = wanted.wait_for(|wanted| *wanted == Wanted::Work).await;
                self.shared.resting.send_replace(false);
                due = Instant::now();
            }
            let size = self.size();
            self.transaction(client, size).await?;
            self.next += size;
            self.shared.committed.send_replace(self.next - 1);
            // What the machine could not write in time is not made up for.
            due = due.max(Instant::now() - Duration::from_millis(200));
            due += Duration::from_secs_f64(size as f64 / self.rate as f64);
            sleep_until(due).await;
        }
    }

    /// Many small transactions and a few large ones.
    fn size(&mut self) -> u64 {
        let most = match self.rng.u8(0..10) {
            0..4 => 1,
            4..7 => 20,
            7..9 => 200,
            _ => LARGEST_TRANSACTION,
        };
        self.rng.u64(1..=most)
    }

    /// Writes the rows `next` to `next + size - 1` in one to three parts.
    async fn transaction(&mut self, client: &Client, size: u64) -> Result<(), Error> {
        client.batch_execute("BEGIN").await?;
        let mut first = self.next;
        let end = self.next + size;
        while first < end {
            let part = match self.rng.bool() {
                true => end - first,
                false => self.rng.u64(1..=end - first),
            };
            let last = first + part - 1;
            match self.rng.u8(0..10) {
                0..4 => client.batch_execute(&insert(first, last)).await?,
                4..7 => copy(client, first, last).await?,
                7 => client.batch_execute(&update(first, last)).await?,
                // Rows of the same numbers that never were.
                8 => {
                    let undone = format!(
                        "SAVEPOINT s; {}; UPDATE accounts SET owner = 'nobody' WHERE id = 1; \
                         ROLLBACK TO s",
                        insert(first, last)
                    );
                    client.batch_execute(&undone).await?;
                    client.batch_execute(&insert(first, last)).await?;
                }
                _ => {
                    let kept = format!("SAVEPOINT s; {}; RELEASE s", insert(first, last));
                    client.batch_execute(&kept).await?;
                }
            }
            first = last + 1;
        }
        client.batch_execute("COMMIT").await
    }
}

fn insert(first: u64, last: u64) -> String {
    format!("INSERT INTO orders SELECT i, 'order ' || i FROM generate_series({first}, {last}) i")
}

/// One update a row, since a single statement would choose its own order.
fn update(first: u64, last: u64) -> String {
    format!(
        "DO $$ BEGIN FOR i IN {first}..{last} LOOP
           INSERT INTO accounts VALUES (i, i % {ACCOUNTS}, 'owner ' || i)
             ON CONFLICT (id) DO UPDATE SET n = excluded.n, owner = excluded.owner;
         END LOOP; END $$"
    )
}

async fn copy(client: &Client, first: u64, last: u64) -> Result<(), Error> {
    let lines: String = (first..=last)
        .map(|n| format!("{n}\t{}.50\t{{red,\"{n}\"}}\n", n % 1_000))
        .collect();
    let sink = client.copy_in("COPY copied FROM STDIN").await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(Cursor::new(lines.into_bytes())).await?;
    sink.close().await
}

#[cfg(test)]
mod tests {
    use super::number_in;

    #[test]
    fn the_number_of_an_event_is_that_of_its_new_row() {
        let update =
            br#"{"table_name":"public.accounts","old":{"n":7,"id":1},"new":{"n":90,"id":1}}"#;
        assert_eq!(number_in(update), Some(90));
        assert_eq!(number_in(br#"{"old":{"n":7},"new":{}}"#), None);
        assert_eq!(number_in(br#"{"new":{"n":null}}"#), None);
    }
}
