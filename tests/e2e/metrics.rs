//! What monitoring sees of a relay: numbers that follow the events, and readiness that means it.

use std::time::Duration;

use pgevents_tests::lab::{Lab, Monitoring, Page};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Any free port; the log names it.
const LISTEN: &str = "--metrics-listen 127.0.0.1:0";

fn says(text: &'static str) -> impl Fn(&Page) -> bool {
    move |page| page.body.starts_with(text)
}

#[tokio::test]
async fn the_numbers_follow_the_events() {
    const ROW: &str = "canary-in-a-row";
    let lab = Lab::start().await;
    lab.sql(
        "CREATE TABLE users (id int PRIMARY KEY, full_name text);
         ALTER TABLE users REPLICA IDENTITY FULL;
         CREATE TABLE other (id int PRIMARY KEY);",
    )
    .await;
    let mut queue = lab.queue().await;
    let relay = lab
        .producer()
        .env("PGTABLES", "public.users")
        .flags("--skip-noop")
        .flags(LISTEN)
        .start();
    let monitoring = Monitoring::of(&relay).await;
    lab.sql(&format!(
        "BEGIN; INSERT INTO users VALUES (1, '{ROW}'), (2, '{ROW}'); INSERT INTO other VALUES (1), (2);
         UPDATE users SET full_name = full_name WHERE id = 1; DELETE FROM users WHERE id = 2; COMMIT;"
    ))
    .await;
    queue.take(3).await;
    let page = monitoring
        .until("/metrics", |page| {
            page.number("pgevents_events_confirmed_total", "") == Some(3.0)
                && page.number("pgevents_slot_active", "") == Some(1.0)
                // The look at the slot came after the rows.
                && page.number("pgevents_slot_retained_wal_bytes", "") > Some(100.0)
        })
        .await;
    let slot = format!("slot=\"{0}\",database=\"{0}\"", lab.name());
    for (name, labels, expected) in [
        ("pgevents_events_published_total", slot.as_str(), 3.0),
        ("pgevents_events_returned_total", "", 0.0),
        ("pgevents_transactions_total", "", 1.0),
        ("pgevents_rows_filtered_total", "", 2.0),
        ("pgevents_rows_unchanged_total", "", 1.0),
        ("pgevents_in_flight_events", "", 0.0),
        ("pgevents_lag_seconds", "", 0.0),
        ("pgevents_ready", "", 1.0),
        ("pgevents_state", "state=\"streaming\"", 1.0),
        ("pgevents_state", "state=\"standby\"", 0.0),
        ("pgevents_slot_wal_status", "status=\"reserved\"", 1.0),
        ("pgevents_build_info", "plugin=\"0.1.0\"", 1.0),
    ] {
        let found = page.number(name, labels);
        assert_eq!(found, Some(expected), "{name} {labels} in {}", page.body);
    }
    for name in [
        "pgevents_slot_retained_wal_bytes",
        "pgevents_received_bytes_total",
        "pgevents_published_bytes_total",
    ] {
        assert!(
            page.number(name, "") > Some(100.0),
            "{name} in {}",
            page.body
        );
    }
    for secret in [
        ROW,
        lab.postgres().relay_password(),
        lab.rabbitmq().password(),
    ] {
        assert!(!page.body.contains(secret), "{}", page.body);
    }
    assert_eq!(
        monitoring.page("/readyz").await.body,
        "streaming: everything is confirmed\n"
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_standby_is_ready_and_says_that_it_stands_by() {
    let mut lab = Lab::start().await;
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("is active for PID");
    let first = lab.producer().start();
    first.logs("streaming").await;
    let second = lab.producer().flags(LISTEN).start();
    let monitoring = Monitoring::of(&second).await;
    let page = monitoring.until("/readyz", says("standby")).await;
    assert_eq!(page.status, 200);
    let numbers = monitoring.page("/metrics").await;
    assert_eq!(
        numbers.number("pgevents_state", "state=\"standby\""),
        Some(1.0)
    );
    assert_eq!(numbers.number("pgevents_lag_seconds", ""), None);
    first.stop().await;
    let page = monitoring.until("/readyz", says("streaming")).await;
    assert_eq!(page.status, 200);
    lab.finish().await;
}

#[tokio::test]
async fn a_relay_that_reaches_nobody_is_alive_and_not_ready() {
    let mut lab = Lab::without_slot().await;
    lab.allow("connect to RabbitMQ at amqp://127.0.0.1:1 ");
    let relay = lab
        .producer()
        .env("RABBITMQ_URL", "amqp://lab:canary@127.0.0.1:1/%2f")
        .flags(LISTEN)
        .start();
    let monitoring = Monitoring::of(&relay).await;
    assert_eq!(monitoring.page("/livez").await.status, 200);
    let page = monitoring.page("/readyz").await;
    assert_eq!(
        (page.status, page.body.as_str()),
        (503, "connecting: the log says to what\n")
    );
    let failures = |page: &Page| page.number("pgevents_session_failures_total", "side=\"broker\"");
    monitoring
        .until("/metrics", |page| failures(page) > Some(0.0))
        .await;
    lab.finish().await;
}

#[tokio::test]
async fn an_event_that_no_queue_wants_is_counted_and_makes_the_relay_unready() {
    let mut lab = Lab::start().await;
    lab.allow("no queue of the exchange takes it");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let relay = lab.producer().flags(LISTEN).start();
    let monitoring = Monitoring::of(&relay).await;
    monitoring.until("/readyz", says("streaming")).await;
    lab.sql("INSERT INTO users VALUES (1)").await;
    monitoring.until("/readyz", |page| page.status == 503).await;
    let numbers = monitoring
        .until("/metrics", |page| {
            page.number("pgevents_events_returned_total", "") > Some(1.0)
        })
        .await;
    assert!(
        numbers.number("pgevents_lag_seconds", "") > Some(0.0),
        "{numbers:?}"
    );
    let mut queue = lab.queue().await;
    queue.next().await;
    let page = monitoring.until("/readyz", says("streaming")).await;
    assert_eq!(page.status, 200);
    lab.finish().await;
}

#[tokio::test]
async fn a_blocked_broker_makes_the_relay_unready_until_it_takes_events_again() {
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow("the broker takes no events (resource alarm)");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().flags(LISTEN).start();
    let monitoring = Monitoring::of(&relay).await;
    monitoring.until("/readyz", says("streaming")).await;
    lab.rabbitmq().alarm(true).expect("raise the alarm");
    lab.sql("INSERT INTO users VALUES (1)").await;
    let page = monitoring.until("/readyz", says("blocked")).await;
    assert_eq!(page.status, 503);
    let numbers = monitoring.page("/metrics").await;
    assert_eq!(numbers.number("pgevents_broker_blocked", ""), Some(1.0));
    lab.rabbitmq().alarm(false).expect("end the alarm");
    queue.next().await;
    monitoring.until("/readyz", says("streaming")).await;

    // A stop waits for the broker; whoever asks for it twice does not want that.
    lab.allow("stopped at once");
    lab.rabbitmq().alarm(true).expect("raise the alarm");
    lab.sql("INSERT INTO users VALUES (2)").await;
    monitoring.until("/readyz", says("blocked")).await;
    relay.process().signal(Signal::TERM);
    relay.logs("stopping").await;
    // Signals within half a second are one request.
    sleep(Duration::from_millis(600)).await;
    relay.process().signal(Signal::TERM);
    assert_eq!(relay.exit_code().await, 3, "what was in flight comes again");
    lab.rabbitmq().alarm(false).expect("end the alarm");
    lab.finish().await;
}

#[tokio::test]
async fn connections_that_say_nothing_keep_no_probe_from_its_answer() {
    /// A third of what the relay bears one of them for.
    const PROBE: Duration = Duration::from_millis(1_500);
    let lab = Lab::start().await;
    let relay = lab.producer().flags("--sink stdout").flags(LISTEN).start();
    let monitoring = Monitoring::of(&relay).await;
    let mut silent = Vec::new();
    for _ in 0..120 {
        let connection = TcpStream::connect(monitoring.address()).await;
        silent.push(connection.expect("connect"));
    }
    let page = timeout(PROBE, monitoring.page("/livez")).await;
    assert_eq!(page.expect("an answer in time").status, 200);
    drop(silent);
    lab.finish().await;
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_relay() {
    let mut lab = Lab::start().await;
    lab.allow("choose another address or end who has it");
    let first = lab.producer().flags(LISTEN).start();
    let monitoring = Monitoring::of(&first).await;
    let second = lab
        .producer()
        .flag("--metrics-listen", monitoring.address())
        .start();
    assert_eq!(second.exit_code().await, 2);
    lab.finish().await;
}
