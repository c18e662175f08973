//! Large transactions and many small ones.

use pgevents_tests::lab::{Lab, Queue, Relay};

use crate::sequence::number_of;

/// What the relay may use, whatever the size of a transaction.
const MEMORY_LIMIT_BYTES: u64 = 20 * 1024 * 1024;

const TABLE: &str = "CREATE TABLE readings (id bigint PRIMARY KEY, note text);
    ALTER TABLE readings REPLICA IDENTITY FULL";

#[tokio::test]
async fn a_transaction_of_a_million_rows_arrives_complete_and_in_order() {
    let lab = Lab::start().await;
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    let relay = lab.producer().start();
    lab.sql("INSERT INTO readings SELECT i, 'reading ' || i FROM generate_series(1, 1000000) i")
        .await;
    expect_rows(&mut queue, 1_000_000).await;
    assert_small(&relay);
    lab.finish().await;
}

#[tokio::test]
async fn twenty_thousand_transactions_of_one_row_arrive_complete_and_in_order() {
    let lab = Lab::start().await;
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    let relay = lab.producer().start();
    lab.sql(
        "DO $$ BEGIN FOR i IN 1..20000 LOOP
             INSERT INTO readings VALUES (i, 'reading ' || i); COMMIT;
         END LOOP; END $$",
    )
    .await;
    expect_rows(&mut queue, 20_000).await;
    assert_small(&relay);
    lab.finish().await;
}

#[tokio::test]
async fn rows_of_a_copy_arrive_each_with_an_id_of_its_own() {
    let lab = Lab::start().await;
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    lab.producer().start();
    // One WAL record holds many rows of a COPY, so they share its position.
    lab.sql("COPY readings FROM PROGRAM 'seq 1 5000 | sed \"s/$/\\tcopied/\"'")
        .await;
    let mut ids = std::collections::HashSet::new();
    let mut last = 0;
    queue
        .until(|event| {
            last += 1;
            assert_eq!(number_of(&event), last);
            assert!(
                ids.insert(event.message_id.clone()),
                "{} repeats",
                event.message_id
            );
            last == 5_000
        })
        .await;
    lab.finish().await;
}

/// Without any fault nothing is repeated: the rows are exactly 1 to `count`.
async fn expect_rows(queue: &mut Queue, count: u64) {
    let mut last = 0;
    queue
        .until(|event| {
            let number = number_of(&event);
            assert_eq!(number, last + 1, "row lost, repeated or out of order");
            last = number;
            last == count
        })
        .await;
}

fn assert_small(relay: &Relay) {
    let peak = relay.peak_memory_bytes();
    println!("peak resident memory of the relay: {} KiB", peak / 1024);
    assert!(
        peak <= MEMORY_LIMIT_BYTES,
        "{peak} bytes of memory, more than {MEMORY_LIMIT_BYTES}"
    );
}
