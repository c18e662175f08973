//! Neither side waits for the other for ever: servers shut down, relays stop, dead peers are
//! noticed.

use std::time::{Duration, Instant};

use pgevents_tests::endurance;
use pgevents_tests::lab::{Fault, Lab, Proxy, Relay};

use crate::sequence::{Sequence, number_of};

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// How long `pg_ctl stop -m fast` may take.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How long a relay may take to stop when its broker takes events.
const DRAIN: Duration = Duration::from_secs(2);

/// How long a peer that has fallen silent may go unnoticed.
const NOTICE: Duration = Duration::from_secs(25);

/// Stops the server in the fast way, and says how long that took.
async fn shut_down(lab: &mut Lab) -> Duration {
    let asked = Instant::now();
    lab.own_postgres().stop().await.expect("stop the server");
    asked.elapsed()
}

/// Starts the server again, and waits until the relay has found it.
async fn start_again(lab: &mut Lab, relay: &Relay) {
    let from = relay.process().stderr().len();
    lab.own_postgres().run().await.expect("start the server");
    lab.reconnect().await;
    relay.logs_after(from, "streaming").await;
}

/// One transaction for each row.
async fn insert(lab: &Lab, first: u64, last: u64) {
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN {first}..{last} LOOP
           INSERT INTO orders VALUES (i); COMMIT;
         END LOOP; END $$"
    ))
    .await;
}

#[tokio::test]
async fn a_server_shuts_down_in_time_while_the_relay_is_idle_or_busy_or_its_broker_is_blocked() {
    const ROWS: u64 = 100_000;
    let mut lab = Lab::with_own_servers("").await;
    lab.allow("terminating connection due to administrator command");
    lab.allow("PostgreSQL shuts down");
    lab.allow("keep the connection to PostgreSQL");
    lab.allow("connect to PostgreSQL at 127.0.0.1");
    lab.allow("the database system is");
    lab.allow("the broker takes no events (resource alarm): waiting");
    lab.create_slot().await;
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    let idle = shut_down(&mut lab).await;
    start_again(&mut lab, &relay).await;

    insert(&lab, 1, ROWS).await;
    let mut sequence = Sequence::default();
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == 1_000
        })
        .await;
    let busy = shut_down(&mut lab).await;
    assert!(sequence.last < ROWS, "the relay was busy");
    start_again(&mut lab, &relay).await;
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == ROWS
        })
        .await;
    assert!(
        sequence.repeated <= 1,
        "{} rows repeated: what was on its way had time to arrive, but for the open transaction",
        sequence.repeated
    );

    lab.rabbitmq().alarm(true).expect("raise the alarm");
    insert(&lab, ROWS + 1, ROWS + 5_000).await;
    relay.logs("the broker takes no events").await;
    let blocked = shut_down(&mut lab).await;
    lab.rabbitmq().alarm(false).expect("end the alarm");
    start_again(&mut lab, &relay).await;
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == ROWS + 5_000
        })
        .await;
    // A smart shutdown waits for ordinary sessions, so an idle relay must not have one for long.
    let ended = lab.attempt("SELECT pg_terminate_backend(pg_backend_pid())");
    assert!(ended.await.is_err(), "the test's own session ends");
    let asked = Instant::now();
    lab.own_postgres().stop_smart().await.expect("stop it");
    let smart = asked.elapsed();
    start_again(&mut lab, &relay).await;
    println!("a smart shutdown right after the last event took {smart:?}");
    assert!(smart <= 2 * SHUTDOWN, "{smart:?}");
    println!("a fast shutdown took: idle {idle:?}, busy {busy:?}, broker blocked {blocked:?}");
    for took in [idle, busy, blocked] {
        assert!(took <= SHUTDOWN, "a fast shutdown took {took:?}");
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_busy_relay_stops_within_two_seconds_and_repeats_nothing_when_it_starts_again() {
    const ROWS: u64 = 60_000;
    let lab = Lab::start().await;
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    insert(&lab, 1, ROWS).await;
    let mut last = 0;
    let mut took = Vec::new();
    for goal in [5_000, 15_000, 25_000] {
        let relay = lab.producer().start();
        let mut exactly = |event: &pgevents_tests::lab::Event| {
            assert_eq!(number_of(event), last + 1, "a row is lost or repeated");
            last += 1;
            last
        };
        queue.until(|event| exactly(&event) == goal).await;
        let asked = Instant::now();
        relay.stop().await;
        took.push(asked.elapsed());
    }
    lab.producer().start();
    queue
        .until(|event| {
            assert_eq!(number_of(&event), last + 1, "a row is lost or repeated");
            last += 1;
            last == ROWS
        })
        .await;
    println!("a busy relay stopped within {took:?}");
    assert!(took.iter().all(|took| *took <= DRAIN), "{took:?}");
    lab.finish().await;
}

#[tokio::test]
async fn a_broker_that_stalls_costs_no_stream_and_holds_up_a_stop_only_up_to_the_limit() {
    let mut lab = Lab::with_own_rabbitmq().await;
    println!(
        "{}",
        endurance::stalled_broker(&mut lab, Duration::from_secs(8)).await
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_peer_that_has_fallen_silent_is_noticed_in_time_on_either_side() {
    let mut lab = Lab::start().await;
    lab.allow("PostgreSQL has been silent");
    lab.allow("connect to PostgreSQL at 127.0.0.1");
    lab.allow("terminating connection due to administrator command");
    let mut other = Lab::start().await;
    other.allow("connect to RabbitMQ at amqp://127.0.0.1");
    other.allow("keep the connection to RabbitMQ");
    other.allow("the broker still has an earlier connection");
    let (server, broker) = tokio::join!(silent_server(&lab), silent_broker(&other));
    println!("noticed: a silent server after {server:?}, a silent broker after {broker:?}");
    for took in [server, broker] {
        assert!(took <= NOTICE, "noticed after {took:?}");
    }
    lab.finish().await;
    other.finish().await;
}

/// The time from the last byte of the server to the notice of its silence.
async fn silent_server(lab: &Lab) -> Duration {
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let proxy = Proxy::to(lab.postgres().port())
        .await
        .expect("start the proxy");
    let relay = lab
        .producer()
        .env("PGPORT", &proxy.port().to_string())
        .start();
    insert(lab, 1, 1).await;
    assert_eq!(number_of(&queue.next().await), 1);
    proxy.set(Fault::Blackhole);
    let silent = Instant::now();
    insert(lab, 2, 2).await;
    relay.logs("PostgreSQL has been silent").await;
    let took = silent.elapsed();
    // The server has not heard of the end either: its walsender holds the slot until it is ended.
    lab.sql(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        lab.name()
    ))
    .await;
    proxy.set(Fault::None);
    assert_eq!(number_of(&queue.next().await), 2);
    took
}

/// The time from the last byte of the broker to the notice of its silence.
async fn silent_broker(lab: &Lab) -> Duration {
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let proxy = Proxy::to(lab.rabbitmq().port())
        .await
        .expect("start the proxy");
    let url = lab.rabbitmq().url();
    let url = url.replace(
        &format!(":{}/", lab.rabbitmq().port()),
        &format!(":{}/", proxy.port()),
    );
    let relay = lab.producer().env("RABBITMQ_URL", &url).start();
    insert(lab, 1, 1).await;
    assert_eq!(number_of(&queue.next().await), 1);
    // Its confirm has come through too, or it would be sent again.
    lab.everything_is_acknowledged().await;
    proxy.set(Fault::Blackhole);
    let silent = Instant::now();
    insert(lab, 2, 2).await;
    relay.logs("keep the connection to RabbitMQ").await;
    let took = silent.elapsed();
    proxy.set(Fault::None);
    assert_eq!(number_of(&queue.next().await), 2);
    took
}
