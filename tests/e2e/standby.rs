//! Several relays on one slot: one works, the others stand by.

use std::time::{Duration, Instant};

use pgevents_tests::lab::Lab;

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
