//! `--sink stdout`, and stopping cleanly.

use pgevents_tests::lab::Lab;

const TABLE: &str = "CREATE TABLE users (id int PRIMARY KEY, full_name text);
    ALTER TABLE users REPLICA IDENTITY FULL";

#[tokio::test]
async fn events_can_go_to_standard_output_without_a_broker() {
    let lab = Lab::start().await;
    lab.sql(TABLE).await;
    let relay = lab
        .producer()
        .without("RABBITMQ_URL")
        .without("RABBITMQ_EXCHANGE")
        .flags("--sink stdout")
        .start();
    lab.sql("INSERT INTO users VALUES (1, 'line\nbreak'), (2, 'b')")
        .await;
    assert_eq!(
        relay.prints(0).await,
        r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"line\nbreak"},"id":1,"diff":{"id":1,"full_name":"line\nbreak"},"action":"I"}"#
    );
    assert!(relay.prints(1).await.contains(r#""id":2"#));
    lab.finish().await;
}

#[tokio::test]
async fn a_relay_that_was_stopped_repeats_nothing() {
    let lab = Lab::start().await;
    lab.sql(TABLE).await;
    let mut queue = lab.queue().await;
    for round in 1..=3 {
        let relay = lab.producer().start();
        lab.sql(&format!("INSERT INTO users VALUES ({round}, 'a')"))
            .await;
        let event = queue.next().await;
        assert_eq!(
            event.json()["id"].to_string(),
            round.to_string(),
            "neither lost nor repeated"
        );
        relay.stop().await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_relay_makes_its_slot_and_leaves_it() {
    let lab = Lab::without_slot().await;
    lab.sql(TABLE).await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    lab.sql("INSERT INTO users VALUES (1, 'a')").await;
    assert_eq!(queue.next().await.routing_key, "public.users");
    relay.stop().await;
    let slot = lab
        .row(&format!(
            "SELECT plugin::text, active FROM pg_replication_slots WHERE slot_name = '{}'",
            lab.name()
        ))
        .await;
    assert_eq!(
        (slot.get::<_, &str>(0), slot.get::<_, bool>(1)),
        ("pgevents", false)
    );
    lab.finish().await;
}
