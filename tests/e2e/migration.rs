//! The steps of docs/migrating.md: another plugin's slot is swapped for one of pgevents while rows
//! are written, and every row arrives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pgevents_tests::lab::{Lab, PATIENCE, Process};
use rustix::process::Signal;
use tokio::task::JoinHandle;

/// Inserts rows 1, 2, 3, … one a transaction, until it is told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    rows: JoinHandle<u64>,
}

impl Writer {
    async fn start(lab: &Lab) -> Self {
        let client = lab.postgres().connect(lab.name()).await.expect("connect");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let rows = tokio::spawn(async move {
            let mut id = 0;
            while !stopped.load(Ordering::Relaxed) {
                id += 1;
                let insert = format!("INSERT INTO users VALUES ({id})");
                client.batch_execute(&insert).await.expect("insert");
            }
            id
        });
        Self { stop, rows }
    }

    /// The number of rows.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.rows.await.expect("the writer does not panic")
    }
}

/// The reader of the old slot: PostgreSQL's own, which acknowledges what it has printed.
fn old_reader(lab: &Lab, slot: &str, options: &[&str]) -> Process {
    let mut command = lab.postgres().program("pg_recvlogical", lab.name());
    command.args(["--start", "--slot", slot, "--file", "-", "--no-loop"]);
    command.args(["--status-interval", "1", "--fsync-interval", "1"]);
    command.args(options);
    Process::start("pg_recvlogical", &mut command, Signal::KILL).expect("start the old reader")
}

/// The numbers that follow `mark` in lines.
fn numbers(lines: &[String], mark: &str) -> BTreeSet<u64> {
    let after = lines.iter().filter_map(|line| line.split(mark).nth(1));
    let digits = after.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        &rest[..end.unwrap_or(rest.len())]
    });
    digits
        .map(|digits| digits.parse().expect("a number"))
        .collect()
}

/// `mark` comes before the id in what the old plugin prints of an insert.
async fn swap(plugin: &str, options: &[&str], mark: &str) {
    let lab = Lab::without_slot().await;
    let name = lab.name();
    let old = format!("{name}_old");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let make = format!("SELECT pg_create_logical_replication_slot('{old}', '{plugin}')");
    lab.row(&make).await;
    let mut queue = lab.queue().await;
    let reader = old_reader(&lab, &old, options);
    let inserts = |line: &str| line.contains(mark);
    let writer = Writer::start(&lab).await;
    let first = reader.line(reader.stdout(), 0, "a row", inserts).await;
    first.expect("the old reader reads");

    // 2: the new slot, while the old reader is at work.
    lab.create_slot().await;
    // 4: the old reader passes the beginning of the new slot, and is stopped.
    let caught_up = format!(
        "SELECT old.confirmed_flush_lsn >= new.confirmed_flush_lsn
           FROM pg_replication_slots old, pg_replication_slots new
          WHERE old.slot_name = '{old}' AND new.slot_name = '{name}'"
    );
    let deadline = Instant::now() + PATIENCE;
    while lab.row(&caught_up).await.get::<_, Option<bool>>(0) != Some(true) {
        assert!(Instant::now() < deadline, "{}", reader.tail());
    }
    reader.signal(Signal::INT);
    reader.exit().await.expect("the old reader stops");
    let seen_by_old = numbers(&reader.stdout().since(0), mark);
    // 5: the relay sends everything since the new slot was made, and what is written meanwhile.
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    let rows = writer.stop().await;
    let mut seen_by_new = Vec::new();
    while seen_by_new.last() != Some(&rows) {
        let id = queue.next().await.json()["id"].to_string();
        seen_by_new.push(id.parse().expect("a number"));
    }
    // 6: the old slot goes.
    lab.row(&format!("SELECT pg_drop_replication_slot('{old}')"))
        .await;

    let begin = seen_by_new[0];
    assert!(seen_by_new.iter().copied().eq(begin..=rows), "a gap");
    let last = *seen_by_old.last().expect("rows");
    assert!(seen_by_old.iter().copied().eq(1..=last), "a gap");
    assert!(begin > 1, "the new slot has it all: nothing was swapped");
    assert!(
        last + 1 >= begin,
        "rows between {last} and {begin} are lost"
    );
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_of_wal2json_is_swapped_without_loss() {
    let options = ["--option", "format-version=2"];
    swap(
        "wal2json",
        &options,
        "\"name\":\"id\",\"type\":\"integer\",\"value\":",
    )
    .await;
}

#[tokio::test]
async fn a_slot_of_test_decoding_is_swapped_without_loss() {
    swap("test_decoding", &[], "INSERT: id[integer]:").await;
}
