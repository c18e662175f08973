//! `consumer_debug`: what scripts read, and what its filters leave out.

use pgevents_tests::lab::{Lab, Relay};

/// Starts the consumer on a queue of its own before the producer publishes, and waits until it
/// reads.
async fn consumer(lab: &Lab, flags: &str) -> Relay {
    let queue = format!("{}_look", lab.name());
    let consumer = lab
        .command("consumer_debug")
        .env("RABBITMQ_QUEUE_NAME", &queue)
        .flags(flags)
        .start();
    consumer.logs("waiting for events").await;
    consumer
}

async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.sql(
        "CREATE TABLE users (id int PRIMARY KEY, n numeric);
         ALTER TABLE users REPLICA IDENTITY FULL;
         CREATE TABLE orders (id int PRIMARY KEY); ALTER TABLE orders REPLICA IDENTITY FULL;",
    )
    .await;
    lab
}

#[tokio::test]
async fn without_a_terminal_it_prints_the_key_and_the_event_as_it_came() {
    let lab = lab().await;
    let consumer = consumer(&lab, "").await;
    let _relay = lab.producer().start();
    lab.sql("INSERT INTO users VALUES (1, 1.10)").await;
    assert_eq!(consumer.prints(0).await, "routing_key public.users");
    let event = r#"{"table_name":"public.users","old":{},"new":{"id":1,"n":1.10},"id":1,"diff":{"id":1,"n":1.10},"action":"I"}"#;
    assert_eq!(consumer.prints(1).await, event);
    lab.finish().await;
}

#[tokio::test]
async fn filters_leave_out_tables_and_actions_and_json_is_a_line_each() {
    let lab = lab().await;
    let consumer = consumer(&lab, "--json --table public.users --action update,delete").await;
    let _relay = lab.producer().start();
    lab.sql(
        "INSERT INTO orders VALUES (1); INSERT INTO users VALUES (1, 1.10);
         DELETE FROM orders; UPDATE users SET n = 12345678901234567890.1; DELETE FROM users;",
    )
    .await;
    let update = consumer.prints(0).await;
    assert!(
        update.starts_with(r#"{"routing_key":"public.users","message_id":""#),
        "{update}"
    );
    let diff = r#""diff":{"n":12345678901234567890.1},"action":"U"}}"#;
    assert!(update.ends_with(diff), "{update}");
    let delete = consumer.prints(1).await;
    assert!(delete.ends_with(r#""diff":{},"action":"D"}}"#), "{delete}");
    lab.finish().await;
}

#[tokio::test]
async fn on_a_terminal_it_shows_what_has_changed_in_colour_unless_nobody_wants_colour() {
    let mut lab = lab().await;
    // How `script` passes on the signal that ends the test.
    lab.allow("Session terminated, killing shell");
    let look = |name: &str| {
        let queue = format!("{}_{name}", lab.name());
        let command = lab
            .command("consumer_debug")
            .env("RABBITMQ_QUEUE_NAME", &queue);
        command.on_a_terminal()
    };
    let coloured = look("coloured").start();
    let plain = look("plain").env("NO_COLOR", "1").start();
    for terminal in [&coloured, &plain] {
        terminal.prints_with("waiting for events").await;
    }
    let _relay = lab.producer().start();
    lab.sql("INSERT INTO users VALUES (1, 1.10); UPDATE users SET n = 2")
        .await;
    let changed = coloured.prints_with("\u{2192}").await;
    assert!(
        changed.contains("\u{1b}[31m1.10\u{1b}[0m \u{2192} \u{1b}[32m2\u{1b}[0m"),
        "{changed:?}"
    );
    let event = plain.prints_with(r#""action":"U""#).await;
    assert!(!event.contains('\u{1b}'), "{event:?}");
    lab.finish().await;
}
