//! Sudden deaths of every part, under load: rows may repeat, none is lost, order is kept.

use std::ops::Range;

use pgevents_tests::lab::{Lab, Queue};

use crate::sequence::Sequence;

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// Rows of the largest transaction of [`load`].
const LARGEST_TRANSACTION: u64 = 20;

/// Messages without a confirmation that the relay allows itself by default.
const WINDOW: u64 = 2_000;

/// Transactions of 1 to 20 rows that number their rows in commit order.
fn load(rows: Range<u64>) -> String {
    let Range { start, end } = rows;
    format!(
        "DO $$ DECLARE first bigint := {start}; size int; BEGIN
           WHILE first < {end} LOOP
             size := least(1 + (random() * 19)::int, {end} - first);
             INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(first, first + size - 1) i;
             COMMIT;
             first := first + size;
           END LOOP;
         END $$"
    )
}

/// Reads until `count` rows more than before have arrived.
async fn read(queue: &mut Queue, sequence: &mut Sequence, count: u64) {
    let goal = sequence.last + count;
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last >= goal
        })
        .await;
}

#[tokio::test]
async fn a_relay_killed_ten_times_repeats_rows_but_loses_none() {
    const ROWS: u64 = 60_000;
    let mut lab = Lab::start().await;
    // The server keeps the slot of a dead relay until it notices; a relay waits for it.
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("is active for PID");
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    lab.sql(&load(1..ROWS + 1)).await;
    let mut sequence = Sequence::default();
    for _ in 0..10 {
        let relay = lab.producer().start();
        read(&mut queue, &mut sequence, fastrand::u64(1..4_000)).await;
        relay.kill().await;
    }
    lab.producer().start();
    let rest = ROWS - sequence.last;
    read(&mut queue, &mut sequence, rest).await;
    println!(
        "{} of {ROWS} rows were repeated by ten kills",
        sequence.repeated
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_killed_postgresql_loses_nothing_and_the_relay_goes_on() {
    const ROWS: u64 = 20_000;
    let mut lab = Lab::with_own_postgres("").await;
    lab.allow("keep the connection to PostgreSQL");
    lab.allow("connect to PostgreSQL at 127.0.0.1");
    // Between the start of the server and its readiness.
    lab.allow("the database system is");
    lab.create_slot().await;
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    let relay = lab.producer().start();
    let mut sequence = Sequence::default();
    for round in 0..3 {
        lab.sql(&load(round * ROWS + 1..(round + 1) * ROWS + 1))
            .await;
        read(&mut queue, &mut sequence, fastrand::u64(1..ROWS / 2)).await;
        lab.own_postgres().kill().await.expect("kill the server");
        lab.own_postgres()
            .run()
            .await
            .expect("start the server again");
        lab.reconnect().await;
        let rest = (round + 1) * ROWS - sequence.last;
        read(&mut queue, &mut sequence, rest).await;
    }
    println!(
        "{} of {} rows were repeated by three kills",
        sequence.repeated,
        3 * ROWS
    );
    assert!(
        sequence.repeated <= 3 * (WINDOW + LARGEST_TRANSACTION),
        "a relay that outlives the server goes on where it was, not where the slot is"
    );
    assert_eq!(
        relay.process().status(),
        None,
        "the relay never ends because a server did"
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_killed_rabbitmq_loses_nothing_and_the_relay_goes_on() {
    const ROWS: u64 = 20_000;
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow("keep the connection to RabbitMQ");
    lab.allow("connect to RabbitMQ at amqp://127.0.0.1");
    // Nobody reads the queue under test while its broker dies: a quorum queue may give a new reader
    // the next messages before those that the old reader had not acknowledged.
    drop(lab.quorum_queue().await);
    let mut witness = lab.witness().await;
    let broker = lab.rabbitmq();
    broker.write_queue_table().expect("write the queue table");
    lab.sql(TABLE).await;
    let relay = lab.producer().start();
    for round in 0..3 {
        lab.sql(&load(round * ROWS + 1..(round + 1) * ROWS + 1))
            .await;
        witness.take(fastrand::usize(1..10_000)).await;
        lab.own_rabbitmq().kill().await.expect("kill the broker");
        lab.own_rabbitmq()
            .run()
            .await
            .expect("start the broker again");
        witness.reconnect().await;
    }
    let mut queue = lab.quorum_queue().await;
    let mut sequence = Sequence::default();
    read(&mut queue, &mut sequence, 3 * ROWS).await;
    println!(
        "{} of {} rows were repeated by three kills",
        sequence.repeated,
        3 * ROWS
    );
    assert_eq!(
        relay.process().status(),
        None,
        "the relay never ends because a broker did"
    );
    lab.finish().await;
}
