//! What becomes of events that do not go their usual way: nobody wants them, they are too large, or
//! the broker is silent.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use pgevents_tests::lab::{Lab, PATIENCE, Queue};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// Ids of the next `count` events.
async fn ids(queue: &mut Queue, count: usize) -> Vec<String> {
    let events = queue.take(count).await;
    events
        .iter()
        .map(|event| event.json()["id"].to_string())
        .collect()
}

#[tokio::test]
async fn an_event_that_no_queue_wants_is_parked_with_its_key_and_those_behind_it_go_on() {
    let mut lab = Lab::start().await;
    lab.allow("no queue takes some events");
    let parking = format!("{}_parking", lab.name());
    let mut parked = lab.parking_queue(&parking).await;
    lab.sql(TABLE).await;
    lab.sql("INSERT INTO orders VALUES (1), (2), (3)").await;
    let flags = format!("--unroutable park --parking-exchange {parking}");
    let relay = lab.producer().flags(&flags).start();
    let events = parked.take(3).await;
    for (event, id) in events.iter().zip(1..) {
        assert_eq!(
            (event.json()["id"].to_string(), &*event.routing_key),
            (id.to_string(), "public.orders")
        );
        assert!(!event.message_id.is_empty());
    }
    let mut queue = lab.queue().await;
    lab.sql("INSERT INTO orders VALUES (4)").await;
    assert_eq!(ids(&mut queue, 1).await, ["4"]);
    relay.logs("no queue takes some events").await;
    // What is parked counts as delivered: nothing comes again.
    relay.stop().await;
    lab.slot_is_free().await;
    lab.sql("INSERT INTO orders VALUES (5)").await;
    lab.producer().flags(&flags).start();
    assert_eq!(ids(&mut queue, 1).await, ["5"]);
    lab.finish().await;
}

#[tokio::test]
async fn an_event_that_not_even_the_parking_exchange_can_place_waits() {
    let mut lab = Lab::start().await;
    lab.allow("no queue takes some events");
    lab.allow("no queue of the parking exchange takes it");
    let parking = format!("{}_parking", lab.name());
    lab.sql(TABLE).await;
    lab.sql("INSERT INTO orders VALUES (1)").await;
    let flags = format!("--unroutable park --parking-exchange {parking}");
    let relay = lab.producer().flags(&flags).start();
    relay
        .logs("no queue of the parking exchange takes it")
        .await;
    let mut parked = lab.parking_queue(&parking).await;
    assert_eq!(ids(&mut parked, 1).await, ["1"]);
    lab.finish().await;
}

#[tokio::test]
async fn an_event_that_no_queue_wants_is_dropped_and_counted_if_asked_for() {
    let mut lab = Lab::start().await;
    lab.allow("no queue takes some events");
    lab.sql(TABLE).await;
    lab.sql("INSERT INTO orders VALUES (1), (2), (3)").await;
    let relay = lab.producer().flags("--unroutable drop").start();
    let line = relay.logs("no queue takes some events").await;
    assert!(line.contains("\"dropped\":3"), "{line}");
    let mut queue = lab.queue().await;
    lab.sql("INSERT INTO orders VALUES (4)").await;
    assert_eq!(ids(&mut queue, 1).await, ["4"]);
    lab.finish().await;
}

#[tokio::test]
async fn an_event_that_no_queue_wants_ends_the_relay_if_asked_for() {
    let mut lab = Lab::start().await;
    lab.allow("choose another --unroutable than stop");
    lab.sql(TABLE).await;
    lab.sql("INSERT INTO orders VALUES (1)").await;
    let relay = lab.producer().flags("--unroutable stop").start();
    assert_eq!(relay.exit_code().await, 21);
    lab.slot_is_free().await;
    // Nothing was acknowledged: with a queue it arrives.
    let mut queue = lab.queue().await;
    lab.producer().start();
    assert_eq!(ids(&mut queue, 1).await, ["1"]);
    lab.finish().await;
}

#[tokio::test]
async fn the_largest_event_that_the_broker_takes_goes_and_a_larger_one_is_a_marker() {
    const LIMIT: usize = 20_000;
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow("went as markers");
    let limit = format!("application:set_env(rabbit, max_message_size, {LIMIT}).");
    lab.rabbitmq()
        .control(&["eval", &limit])
        .expect("set the broker's limit");
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = lab
        .producer()
        .flags(&format!("--max-message-bytes {LIMIT}"))
        .start();
    lab.sql("INSERT INTO orders VALUES (1, '')").await;
    // The note is there twice, in `new` and in `diff`.
    let empty = queue.next().await.body.len();
    let largest = (LIMIT - empty) / 2;
    lab.sql(&format!(
        "INSERT INTO orders VALUES (2, repeat('x', {largest})), (3, repeat('x', {largest} + 1)), (4, '');
         DELETE FROM orders WHERE id = 3"
    ))
    .await;
    let [whole, marker, small, deleted] = queue.take(4).await.try_into().expect("four events");
    assert!(
        (LIMIT - 1..=LIMIT).contains(&whole.body.len()),
        "{}",
        whole.body.len()
    );
    let bytes = whole.body.len() + 2;
    assert_eq!(
        marker.text(),
        format!(
            r#"{{"table_name":"public.orders","old":{{}},"new":{{}},"id":3,"diff":{{}},"action":"I","pgevents_omitted":"too_large","bytes":{bytes}}}"#
        )
    );
    assert_eq!(
        (&*marker.routing_key, &*marker.kind),
        ("public.orders", "omitted")
    );
    assert_eq!(small.json()["id"], 4);
    assert_eq!(
        (deleted.json()["id"].to_string(), &*deleted.kind),
        ("3".to_owned(), "")
    );
    let line = relay.logs("went as markers").await;
    assert!(
        line.contains(&marker.message_id) && !line.contains("xxx"),
        "{line}"
    );
    lab.finish().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_relay_if_asked_for() {
    let mut lab = Lab::start().await;
    lab.allow("more than --max-message-bytes 1024");
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = lab
        .producer()
        .flags("--too-large stop --max-message-bytes 1024")
        .start();
    lab.sql("INSERT INTO orders VALUES (1), (2)").await;
    assert_eq!(ids(&mut queue, 2).await, ["1", "2"]);
    lab.sql("INSERT INTO orders VALUES (3, repeat('x', 1000))")
        .await;
    assert_eq!(relay.exit_code().await, 22);
    let said = relay.process().stderr().tail(1);
    let parts = ["public.orders", "message_id", "transaction up to 0/"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    assert!(!said.contains("xxx"), "{said}");
    lab.finish().await;
}

#[tokio::test]
async fn a_broker_that_confirms_nothing_is_given_up_and_found_again() {
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow("no confirm for 2 seconds");
    lab.allow("keep the connection to RabbitMQ");
    lab.allow("connect to RabbitMQ at amqp://127.0.0.1");
    let queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = lab.producer().flags("--confirm-timeout 2").start();
    relay.logs("streaming").await;
    drop(queue);
    lab.rabbitmq().process().signal(Signal::STOP);
    lab.sql("INSERT INTO orders SELECT generate_series(1, 100)")
        .await;
    relay.logs("no confirm for 2 seconds").await;
    lab.rabbitmq().process().signal(Signal::CONT);
    let mut queue = lab.queue().await;
    let mut last = 0;
    queue
        .until(|event| {
            let id = event.json()["id"].as_u64().expect("a number");
            assert!(id <= last + 1, "{id} comes after {last}");
            last = last.max(id);
            last == 100
        })
        .await;
    lab.finish().await;
}

#[tokio::test]
async fn a_blocked_broker_costs_no_stream_and_no_duplicate_however_short_the_patience() {
    const ROWS: u64 = 5_000;
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow("the broker takes no events (resource alarm): waiting");
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = lab
        .producer()
        .flags("--confirm-timeout 2 --status-interval 1")
        .start();
    relay.logs("streaming").await;
    let stream = format!(
        "SELECT active_pid, (SELECT reply_time FROM pg_stat_replication WHERE pid = active_pid) \
         FROM pg_replication_slots WHERE slot_name = '{}'",
        lab.name()
    );
    let before: i32 = lab.row(&stream).await.get(0);
    lab.rabbitmq().alarm(true).expect("raise the alarm");
    lab.sql(&format!(
        "INSERT INTO orders SELECT generate_series(1, {ROWS})"
    ))
    .await;
    relay.logs("the broker takes no events").await;
    // Reports go on for longer than a silent broker would be given.
    lab.sql(&format!(
        "DO $$ DECLARE first timestamptz := clock_timestamp(); BEGIN
           WHILE (SELECT coalesce(max(reply_time), first) FROM pg_stat_replication WHERE pid = {before})
                 < first + interval '5 s' LOOP
             IF clock_timestamp() > first + interval '20 s' THEN RAISE 'no report'; END IF;
             PERFORM pg_sleep(0.1), pg_stat_clear_snapshot();
           END LOOP;
         END $$"
    ))
    .await;
    lab.rabbitmq().alarm(false).expect("end the alarm");
    let mut next = 1;
    queue
        .until(|event| {
            assert_eq!(event.json()["id"], next, "nothing is lost or repeated");
            next += 1;
            next > ROWS
        })
        .await;
    let after: i32 = lab.row(&stream).await.get(0);
    assert_eq!(before, after, "the stream was held");
    lab.finish().await;
}

/// The messages of a queue in their order, with a pause behind each as a busy consumer makes it.
async fn slowly(lab: &Lab, pause: Duration, mut done: impl FnMut(u64) -> bool) {
    let url = lab.rabbitmq().url();
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&url, properties)
        .await
        .expect("connect");
    let channel = connection.create_channel().await.expect("open a channel");
    // No more than this is out of the queue, and so makes room in it.
    let few = channel.basic_qos(10, BasicQosOptions::default());
    few.await.expect("take few at a time");
    let consumer = channel.basic_consume(
        lab.name().into(),
        "slow".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut consumer = consumer.await.expect("consume");
    loop {
        let next = timeout(PATIENCE, consumer.next()).await;
        let delivery = next.expect("an event in time").expect("a consumer");
        let delivery = delivery.expect("a delivery");
        let event: serde_json::Value = serde_json::from_slice(&delivery.data).expect("JSON");
        let acked = delivery.ack(BasicAckOptions::default()).await;
        acked.expect("acknowledge");
        if done(event["id"].as_u64().expect("an id")) {
            return;
        }
        sleep(pause).await;
    }
}

#[tokio::test]
async fn a_transaction_larger_than_the_room_of_a_queue_that_refuses_gets_through() {
    const ROWS: usize = 5_000;
    let mut lab = Lab::start().await;
    lab.allow("refused an event");
    lab.sql(TABLE).await;
    let queue = lab.queue().await;
    drop(queue);
    let limit = r#"{"max-length":1000,"overflow":"reject-publish"}"#;
    let policy = lab.name().to_owned();
    let pattern = format!("^{policy}$");
    let set = [
        "set_policy",
        &policy,
        &pattern,
        limit,
        "--apply-to",
        "queues",
    ];
    lab.rabbitmq().control(&set).expect("limit the queue");
    lab.sql(&format!(
        "INSERT INTO orders SELECT generate_series(0, {})",
        ROWS - 1
    ))
    .await;
    let relay = lab.producer().start();
    let mut times = vec![0; ROWS];
    let mut missing = ROWS;
    slowly(&lab, Duration::from_millis(2), |id| {
        let times = &mut times[id as usize];
        missing -= usize::from(*times == 0);
        *times += 1;
        missing == 0
    })
    .await;
    let most = times.iter().max();
    assert!(most <= Some(&2), "an event came {most:?} times");
    relay.stop().await;
    let clear = lab.rabbitmq().control(&["clear_policy", &policy]);
    clear.expect("remove the limit");
    lab.finish().await;
}
