use std::fmt;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Relay};

/// The longest that the server may take to replay it.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a long transaction without events did to a stream.
#[derive(Debug)]
pub struct Quiet {
    /// Its rows.
    pub rows: u64,
    /// From its commit to the event behind it.
    pub took: Duration,
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "one transaction of {} rows that nobody wants: the event behind it came after {:.1} s, on \
             the same stream",
            self.rows,
            self.took.as_secs_f64()
        )
    }
}

/// A transaction of `rows` rows of a table that is left out. While the server replays it, nothing
/// is sent: that is not the silence of a dead server, and the stream goes on. The lab has no slot
/// yet.
pub async fn unwanted_transaction(lab: &mut Lab, rows: u64) -> Quiet {
    lab.sql(
        "CREATE TABLE unwanted (id bigint); CREATE TABLE wanted (id bigint PRIMARY KEY);
         ALTER TABLE wanted REPLICA IDENTITY FULL",
    )
    .await;
    lab.create_slot().await;
    let mut queue = lab.queue().await.patient(PATIENCE);
    let relay = lab.producer().env("PGTABLES", "public.wanted").start();
    relay.logs("streaming").await;
    lab.sql(&format!(
        "INSERT INTO unwanted SELECT generate_series(1, {rows})"
    ))
    .await;
    let committed = Instant::now();
    lab.sql("INSERT INTO wanted VALUES (1)").await;
    queue.next().await;
    let took = committed.elapsed();
    assert_eq!(streams(&relay), 1, "the stream was given up");
    relay.stop().await;
    Quiet { rows, took }
}

/// How often the relay has started to stream.
fn streams(relay: &Relay) -> usize {
    let lines = relay.process().stderr().since(0);
    lines
        .iter()
        .filter(|line| line.contains("streaming"))
        .count()
}
