//! Logical messages that are not short JSON in UTF-8: each arrives, and so does what follows it.

use pgevents_tests::lab::Lab;

use crate::psql;

const MARKER: &str = r#"{"pgevents_omitted":"too_large","bytes":1001}"#;

#[tokio::test]
async fn a_message_above_the_limit_arrives_as_a_marker_under_its_routing_key() {
    let lab = Lab::start().await;
    let mut queue = lab.queue().await;
    for transactional in ["true", "false"] {
        lab.sql(&format!(
            "SELECT pg_logical_emit_message({transactional}, 'pgevents:a.large', repeat('x', 1001));
             SELECT pg_logical_emit_message({transactional}, 'pgevents:a.fit', repeat('y', 1000))"
        ))
        .await;
    }
    // A message outside of any transaction is on disk with the next commit.
    lab.sql("SELECT pg_logical_emit_message(true, 'pgevents:a.next', '{}')")
        .await;
    let fits = "y".repeat(1000);
    let bodies = [MARKER, &fits, MARKER, &fits, "{}"];
    assert_eq!(
        psql::peek(&lab, "'messages', 'pgevents:', 'max-value-bytes', '1000'").await,
        bodies
    );
    lab.producer()
        .flags("--messages pgevents: --max-value-bytes 1000")
        .start();
    let events = queue.take(bodies.len()).await;
    let seen: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.routing_key.as_str(), event.text()))
        .collect();
    let keys = ["a.large", "a.fit", "a.large", "a.fit", "a.next"];
    let expected: Vec<(&str, &str)> = keys.into_iter().zip(bodies).collect();
    assert_eq!(seen, expected);
    lab.finish().await;
}

#[tokio::test]
async fn a_message_of_any_bytes_arrives_as_it_is_and_says_that_it_is_no_json() {
    let lab = Lab::start().await;
    let mut queue = lab.queue().await;
    lab.sql(
        r"SELECT pg_logical_emit_message(true, 'pgevents:raw', '\x0041ff80'::bytea);
          SELECT pg_logical_emit_message(true, 'pgevents:text', '{}')",
    )
    .await;
    assert_eq!(
        psql::peek(&lab, "'messages', 'pgevents:'").await,
        ["\u{FFFD}A\u{FFFD}\u{FFFD}", "{}"],
        "psql takes text without NUL only"
    );
    lab.producer().flags("--messages pgevents:").start();
    let events = queue.take(2).await;
    assert_eq!(events[0].body, [0x00, 0x41, 0xFF, 0x80]);
    assert_eq!(events[0].content_type, "application/octet-stream");
    assert_eq!(events[1].content_type, "application/json");
    lab.finish().await;
}

#[tokio::test]
async fn a_routing_key_that_amqp_cannot_carry_is_cut_and_the_relay_says_so_once() {
    let mut lab = Lab::start().await;
    lab.allow("routing key of a logical message is longer than 255 bytes");
    let mut queue = lab.queue().await;
    lab.sql(
        "SELECT pg_logical_emit_message(true, 'pgevents:' || repeat('é', n), '{}')
           FROM unnest(ARRAY[127, 128, 1000000]) n",
    )
    .await;
    let relay = lab.producer().flags("--messages pgevents:").start();
    let cut = "é".repeat(127);
    for event in queue.take(3).await {
        assert_eq!(event.routing_key, cut);
    }
    relay.stop().await;
    let said = relay.process().stderr().since(0);
    let warnings = said.iter().filter(|line| line.contains("255 bytes"));
    assert_eq!(warnings.count(), 1, "{said:#?}");
    lab.finish().await;
}

#[tokio::test]
async fn the_text_of_a_message_in_a_latin1_database_arrives_as_utf8() {
    let lab = Lab::with_encoding("LATIN1").await;
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql(
        r#"SELECT pg_logical_emit_message(true, 'pgevents:größe', '{"é":"ÿ"}');
           SELECT pg_logical_emit_message(false, 'pgevents:größe', '{"é":"ÿ"}');
           SELECT pg_logical_emit_message(true, 'pgevents:raw', '\x00e9'::bytea)"#,
    )
    .await;
    assert_eq!(
        psql::peek(&lab, "'messages', 'pgevents:'").await,
        [r#"{"é":"ÿ"}"#, r#"{"é":"ÿ"}"#, "??"],
        "what is no text has no place in this database's text"
    );
    lab.producer().flags("--messages pgevents:").start();
    let events = queue.take(3).await;
    for event in &events[..2] {
        assert_eq!(
            (event.routing_key.as_str(), event.text()),
            ("größe", r#"{"é":"ÿ"}"#)
        );
    }
    assert_eq!(events[2].body, [0x00, 0xE9], "no text: as it is");
    lab.finish().await;
}
