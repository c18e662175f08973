//! What is sent, or kept back, only on request.

use pgevents_tests::lab::Lab;

use crate::psql;

const TABLES: &str = "CREATE TABLE users (id int PRIMARY KEY, full_name text, secret text);
    CREATE TABLE orders (id int PRIMARY KEY);
    ALTER TABLE users REPLICA IDENTITY FULL; ALTER TABLE orders REPLICA IDENTITY FULL";

fn short(events: &[String]) -> Vec<String> {
    let field = |event: &serde_json::Value, name: &str| match &event[name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    events
        .iter()
        .map(|event| serde_json::from_str(event).expect("an event is JSON"))
        .map(|event| {
            ["table_name", "action", "id"]
                .map(|name| field(&event, name))
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn truncate_is_an_event_for_each_table_when_it_is_asked_for() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql("INSERT INTO users VALUES (1, 'a')").await;
    lab.sql("TRUNCATE users, orders").await;
    lab.sql("INSERT INTO users VALUES (2, 'b')").await;
    assert_eq!(
        short(&psql::peek(&lab, "").await),
        ["public.users I 1", "public.users I 2"],
        "not by default"
    );
    let mut queue = lab.queue().await;
    lab.producer().flag("--actions", "insert,truncate").start();
    let events = queue.take(4).await;
    let mut truncated = [events[1].text(), events[2].text()];
    truncated.sort_unstable();
    assert_eq!(
        truncated,
        [
            r#"{"table_name":"public.orders","old":{},"new":{},"id":null,"diff":{},"action":"T"}"#,
            r#"{"table_name":"public.users","old":{},"new":{},"id":null,"diff":{},"action":"T"}"#,
        ]
    );
    assert_eq!(
        events[3].json()["id"].to_string(),
        "2",
        "in the order of the commits"
    );
    lab.finish().await;
}

#[tokio::test]
async fn logical_messages_are_sent_in_order_when_their_prefix_is_asked_for() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql(
        "BEGIN; INSERT INTO orders VALUES (1);
         SELECT pg_logical_emit_message(true, 'pgevents:orders.paid', '{\"order\":1}');
         SELECT pg_logical_emit_message(true, 'other:', 'not for us');
         INSERT INTO orders VALUES (2); COMMIT",
    )
    .await;
    lab.sql("BEGIN; SELECT pg_logical_emit_message(true, 'pgevents:x', 'undone'); ROLLBACK")
        .await;
    lab.sql("SELECT pg_logical_emit_message(false, 'pgevents:y', 'at once')")
        .await;
    // A message outside of any transaction is on disk with the next commit.
    lab.sql("INSERT INTO orders VALUES (3)").await;
    assert_eq!(
        short(&psql::peek(&lab, "").await),
        [
            "public.orders I 1",
            "public.orders I 2",
            "public.orders I 3"
        ],
        "not by default"
    );
    let order = |id| {
        format!(
            r#"{{"table_name":"public.orders","old":{{}},"new":{{"id":{id}}},"id":{id},"diff":{{"id":{id}}},"action":"I"}}"#
        )
    };
    assert_eq!(
        psql::events(&lab, "'messages', 'pgevents:'").await,
        [
            order(1),
            r#"{"order":1}"#.into(),
            order(2),
            "at once".into(),
            order(3),
        ]
    );
    lab.finish().await;
}

#[tokio::test]
async fn changes_that_came_from_another_server_can_be_kept_back() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    let origin = format!("{}_origin", lab.name());
    lab.sql(&format!(
        "SELECT pg_replication_origin_create('{origin}');
         SELECT pg_replication_origin_session_setup('{origin}')"
    ))
    .await;
    lab.sql("INSERT INTO orders VALUES (1)").await;
    lab.sql("SELECT pg_replication_origin_session_reset()")
        .await;
    lab.sql("INSERT INTO orders VALUES (2)").await;
    assert_eq!(
        short(&psql::peek(&lab, "'origin', 'any'").await),
        ["public.orders I 1", "public.orders I 2"]
    );
    assert_eq!(
        short(&psql::events(&lab, "'origin', 'none'").await),
        ["public.orders I 2"]
    );
    lab.sql(&format!("SELECT pg_replication_origin_drop('{origin}')"))
        .await;
    lab.finish().await;
}

#[tokio::test]
async fn excluded_columns_are_in_no_part_of_an_event() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql("INSERT INTO users VALUES (1, 'a', 'canary')").await;
    lab.sql("UPDATE users SET secret = 'canary two'").await;
    lab.sql("UPDATE users SET full_name = 'b', secret = 'canary three'")
        .await;
    lab.sql("DELETE FROM users").await;
    assert_eq!(
        psql::events(&lab, "'exclude-columns', 'public.users.secret'").await,
        [
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"a"},"id":1,"diff":{"id":1,"full_name":"a"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"a"},"new":{"id":1,"full_name":"a"},"id":1,"diff":{},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"a"},"new":{"id":1,"full_name":"b"},"id":1,"diff":{"full_name":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"b"},"new":{},"id":1,"diff":{},"action":"D"}"#,
        ]
    );
    lab.finish().await;
}
