//! The message of one row, as the README documents it.

use std::time::{SystemTime, UNIX_EPOCH};

use pgevents_tests::lab::{Event, Lab};

/// The row of the README and its event.
const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, full_name text);
    ALTER TABLE users REPLICA IDENTITY FULL";

/// Starts a relay, runs `change` and expects exactly these bodies, byte for byte, in this order,
/// in the queue and in psql alike.
///
/// `setup` runs before the slots are made, so its rows are history.
pub async fn check(setup: &str, change: &str, expected: &[&str]) -> Vec<Event> {
    check_each(setup, &[change], expected).await
}

/// The same with several changes, each in a transaction of its own: some commands must be alone.
pub async fn check_each(setup: &str, changes: &[&str], expected: &[&str]) -> Vec<Event> {
    let mut lab = Lab::without_slot().await;
    // Tables without FULL make the relay advise it once; here that is no fault.
    lab.allow("updates and deletes come without the whole old row");
    lab.sql("CREATE TABLE the_end (id int PRIMARY KEY)").await;
    lab.sql(setup).await;
    lab.create_slot().await;
    let name = lab.name();
    lab.row(&format!(
        "SELECT pg_create_logical_replication_slot('{name}_psql', 'pgevents')"
    ))
    .await;
    for change in changes {
        lab.sql(change).await;
    }
    let shown = lab
        .rows(&format!(
            "SELECT data FROM pg_logical_slot_get_changes('{name}_psql', NULL, NULL, 'format', 'json')"
        ))
        .await;
    let shown: Vec<&str> = shown.iter().map(|row| row.get(0)).collect();
    assert_eq!(shown, expected, "in psql");
    // The row that must come right after shows that nothing else came.
    lab.sql("INSERT INTO the_end VALUES (1)").await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    let mut events = Vec::new();
    queue
        .until(|event| {
            events.push(event);
            events
                .last()
                .is_some_and(|event| event.routing_key == "public.the_end")
        })
        .await;
    events.pop();
    let bodies: Vec<&str> = events.iter().map(Event::text).collect();
    assert_eq!(bodies, expected, "in the queue");
    lab.finish().await;
    events
}

#[tokio::test]
async fn an_insert_arrives_as_the_readme_shows_it() {
    let before = unix_seconds();
    let events = check(
        USERS,
        "INSERT INTO users VALUES (1, 'Mikael Åkerfeldt')",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael Åkerfeldt"},"id":1,"diff":{"id":1,"full_name":"Mikael Åkerfeldt"},"action":"I"}"#,
        ],
    )
    .await;
    let event = &events[0];
    assert_eq!(event.routing_key, "public.users");
    assert_eq!(event.content_type, "application/json");
    assert_eq!(event.delivery_mode, Some(2), "persistent");
    assert!(!event.message_id.is_empty());
    let committed = event.timestamp.expect("a timestamp");
    assert!(
        (before..=unix_seconds()).contains(&committed),
        "{committed} is the commit's second"
    );
}

#[tokio::test]
async fn an_update_shows_old_new_and_what_changed() {
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'Mikael Åkerfeldt')"),
        "UPDATE users SET full_name = 'Mikael' WHERE id = 1",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"Mikael Åkerfeldt"},"new":{"id":1,"full_name":"Mikael"},"id":1,"diff":{"full_name":"Mikael"},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_delete_shows_the_old_row() {
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'Mikael Åkerfeldt')"),
        "DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"Mikael Åkerfeldt"},"new":{},"id":1,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn an_update_that_changes_nothing_has_an_empty_diff() {
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'same')"),
        "UPDATE users SET full_name = full_name",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"same"},"new":{"id":1,"full_name":"same"},"id":1,"diff":{},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn nulls_are_in_the_rows_and_in_the_diff_only_when_a_value_became_null() {
    check(
        USERS,
        "INSERT INTO users VALUES (1, NULL);
         UPDATE users SET full_name = 'a';
         UPDATE users SET full_name = NULL",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":null},"id":1,"diff":{"id":1},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":null},"new":{"id":1,"full_name":"a"},"id":1,"diff":{"full_name":"a"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"a"},"new":{"id":1,"full_name":null},"id":1,"diff":{"full_name":null},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn changes_of_two_tables_in_one_transaction_keep_their_order() {
    let events = check(
        &format!("{USERS}; CREATE SCHEMA \"Shop.Floor\";
             CREATE TABLE \"Shop.Floor\".\"order\" (id bigint);
             ALTER TABLE \"Shop.Floor\".\"order\" REPLICA IDENTITY FULL"),
        "INSERT INTO users VALUES (1, 'a');
         INSERT INTO \"Shop.Floor\".\"order\" VALUES (9007199254740993);
         INSERT INTO users VALUES (2, 'b')",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"a"},"id":1,"diff":{"id":1,"full_name":"a"},"action":"I"}"#,
            r#"{"table_name":"Shop.Floor.order","old":{},"new":{"id":9007199254740993},"id":9007199254740993,"diff":{"id":9007199254740993},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":2,"full_name":"b"},"id":2,"diff":{"id":2,"full_name":"b"},"action":"I"}"#,
        ],
    )
    .await;
    let mut ids: Vec<&str> = events
        .iter()
        .map(|event| event.message_id.as_str())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "three events, three ids: {ids:?}");
}

#[tokio::test]
async fn what_was_rolled_back_never_arrives() {
    check(
        USERS,
        "BEGIN;
         INSERT INTO users VALUES (1, 'kept');
         SAVEPOINT a; INSERT INTO users VALUES (2, 'undone'); ROLLBACK TO a;
         INSERT INTO users VALUES (3, 'kept');
         COMMIT;
         BEGIN; INSERT INTO users VALUES (4, 'undone'); ROLLBACK",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"kept"},"id":1,"diff":{"id":1,"full_name":"kept"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":3,"full_name":"kept"},"id":3,"diff":{"id":3,"full_name":"kept"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn rows_after_a_change_of_the_table_have_its_new_columns() {
    check(
        USERS,
        "INSERT INTO users VALUES (1, 'a');
         ALTER TABLE users ADD COLUMN age int DEFAULT 7;
         INSERT INTO users VALUES (2, 'b');
         ALTER TABLE users DROP COLUMN full_name;
         INSERT INTO users VALUES (3, 8)",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"a"},"id":1,"diff":{"id":1,"full_name":"a"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":2,"full_name":"b","age":7},"id":2,"diff":{"id":2,"full_name":"b","age":7},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":3,"age":8},"id":3,"diff":{"id":3,"age":8},"action":"I"}"#,
        ],
    )
    .await;
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is after 1970").as_secs()
}
