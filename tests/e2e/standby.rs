//! Several relays on one slot: one works, the others stand by.

use std::time::{Duration, Instant};

use pgevents_tests::lab::Lab;
use rustix::process::Signal;

use crate::sequence::Sequence;

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// How long consumers may wait for the first event after the death of the relay that worked.
const TAKEOVER: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_relay_in_waiting_takes_over_within_two_seconds_and_goes_on_in_the_same_state_file() {
    let mut lab = Lab::start().await;
    lab.allow("slot is in use: waiting until it is free");
    let folder = tempfile::tempdir().expect("make a folder");
    let state = folder.path().join("state");
    let relay = || {
        let path = state.to_str().expect("the path is text");
        lab.producer().env("PGEVENTS_STATE_FILE", path)
    };
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let mut sequence = Sequence::default();
    let mut took = Vec::new();
    let mut working = relay().start();
    working.logs("streaming").await;
    for id in 1..=5 {
        let waiting = relay().start();
        waiting.logs("slot is in use").await;
        let killed = Instant::now();
        working.kill().await;
        lab.sql(&format!("INSERT INTO orders VALUES ({id})")).await;
        queue
            .until(|event| {
                sequence.take(&event);
                sequence.last == id
            })
            .await;
        took.push(killed.elapsed());
        working = waiting;
    }
    took.sort_unstable();
    println!("from the death of a relay to an event of the next: {took:?}");
    assert!(took[2] <= TAKEOVER, "the median of {took:?} is too long");
    lab.finish().await;
}

#[tokio::test]
async fn relays_that_lose_their_sessions_do_not_hold_each_other_up() {
    let mut lab = Lab::start().await;
    for expected in [
        "slot is in use: waiting until it is free",
        "terminating connection due to administrator command",
        "PostgreSQL shuts down",
        "keep the connection to PostgreSQL",
        "is not a PostgreSQL backend process",
    ] {
        lab.allow(expected);
    }
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let mut sequence = Sequence::default();
    let relays = [lab.producer().start(), lab.producer().start()];
    for id in 1..=6 {
        lab.slot_is_taken().await;
        // Whoever has the slot may lose it, while its connection to the broker stands.
        lab.sql(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
               WHERE slot_name = '{}'; INSERT INTO orders VALUES ({id})",
            lab.name()
        ))
        .await;
        queue
            .until(|event| {
                sequence.take(&event);
                sequence.last == id
            })
            .await;
    }
    drop(relays);
    lab.finish().await;
}

#[tokio::test]
async fn a_relay_that_stood_still_sends_nothing_that_is_out_of_date() {
    // By the lock at the broker, and by the relay's own look at the clock.
    tokio::join!(stand_still("auto"), stand_still("off"));
}

/// A relay is stopped in the middle of its work, and goes on when the next one has sent all of it
/// and more.
async fn stand_still(fence: &str) {
    const UPDATES: i64 = 1_500;
    let mut lab = Lab::start().await;
    for expected in [
        "slot is in use: waiting until it is free",
        "the broker still has an earlier connection",
        "the relay stood still for",
        "keep the connection to RabbitMQ",
        "terminating walsender process due to replication timeout",
    ] {
        lab.allow(expected);
    }
    lab.sql(
        "CREATE TABLE counters (id int PRIMARY KEY, n int);
         ALTER TABLE counters REPLICA IDENTITY FULL;
         INSERT INTO counters VALUES (1, 0)",
    )
    .await;
    let mut queue = lab.queue().await;
    let relay = || lab.producer().flag("--fence", fence).start();
    let first = relay();
    first.logs("streaming").await;
    let next = relay();
    next.logs("slot is in use").await;
    let writer = lab.postgres().connect(lab.name()).await.expect("connect");
    let load = format!(
        "DO $$ BEGIN FOR i IN 1..{UPDATES} LOOP
           UPDATE counters SET n = n + 1; COMMIT; PERFORM pg_sleep(0.01);
         END LOOP; END $$"
    );
    let mut values = Vec::new();
    let (written, ()) = tokio::join!(writer.batch_execute(&load), async {
        let mut until = async |wanted: i64| {
            queue
                .until(|event| {
                    values.push(event.json()["new"]["n"].as_i64().expect("a number"));
                    values.last() == Some(&wanted)
                })
                .await;
        };
        until(100).await;
        first.process().signal(Signal::STOP);
        if fence == "auto" {
            // First the server gives the relay up, then the broker does.
            next.logs("the broker still has an earlier connection")
                .await;
        }
        next.logs("streaming").await;
        until(UPDATES).await;
        first.process().signal(Signal::CONT);
        first.logs("slot is in use").await;
        writer
            .batch_execute("UPDATE counters SET n = -1")
            .await
            .expect("update");
        until(-1).await;
    });
    written.expect("update");
    let end = &values[values.len() - 2..];
    assert_eq!(end, [UPDATES, -1], "--fence {fence}: nothing comes behind");
    lab.finish().await;
}
