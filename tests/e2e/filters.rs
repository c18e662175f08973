//! Which changes are sent at all: decided in the server, by the plugin's options.

use pgevents_tests::lab::{Lab, RelayCommand};

const TABLES: &str = "CREATE TABLE users (id int PRIMARY KEY, full_name text);
    CREATE TABLE users_archive (id int PRIMARY KEY);
    CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY);
    ALTER TABLE users REPLICA IDENTITY FULL; ALTER TABLE users_archive REPLICA IDENTITY FULL;
    ALTER TABLE shop.orders REPLICA IDENTITY FULL";

const CHANGES: &str = "INSERT INTO users VALUES (1, 'a');
    INSERT INTO users_archive VALUES (2);
    INSERT INTO shop.orders VALUES (3);
    UPDATE users SET full_name = full_name;
    UPDATE users SET full_name = 'b';
    DELETE FROM users;
    DELETE FROM users_archive;
    DELETE FROM shop.orders";

/// Runs [`CHANGES`] and then `last`, a change that is wanted, and expects exactly these events,
/// each as `table action id`.
async fn check(
    relay: impl FnOnce(RelayCommand<'_>) -> RelayCommand<'_>,
    last: &str,
    expected: &[&str],
) {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    let mut queue = lab.queue().await;
    relay(lab.producer()).start();
    lab.sql(CHANGES).await;
    lab.sql(last).await;
    let events = queue.take(expected.len()).await;
    let short: Vec<String> = events
        .iter()
        .map(|event| {
            let json = event.json();
            let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("table_name"), text("action"), json["id"])
        })
        .collect();
    assert_eq!(short, expected);
    lab.finish().await;
}

#[tokio::test]
async fn only_the_tables_asked_for_are_sent() {
    check(
        |relay| relay.env("PGTABLES", "public.users"),
        "INSERT INTO users VALUES (99)",
        &[
            "public.users I 1",
            "public.users U 1",
            "public.users U 1",
            "public.users D 1",
            "public.users I 99",
        ],
    )
    .await;
}

#[tokio::test]
async fn tables_can_be_excluded_by_pattern() {
    check(
        |relay| relay.flag("--exclude-tables", "public.*"),
        "INSERT INTO shop.orders VALUES (99)",
        &["shop.orders I 3", "shop.orders D 3", "shop.orders I 99"],
    )
    .await;
}

#[tokio::test]
async fn only_the_actions_asked_for_are_sent() {
    check(
        |relay| relay.flag("--actions", "delete"),
        "INSERT INTO shop.orders VALUES (99); DELETE FROM shop.orders",
        &[
            "public.users D 1",
            "public.users_archive D 2",
            "shop.orders D 3",
            "shop.orders D 99",
        ],
    )
    .await;
}

#[tokio::test]
async fn updates_that_change_nothing_can_be_kept_back() {
    check(
        |relay| relay.env("PGTABLES", "public.users").flags("--skip-noop"),
        "INSERT INTO users VALUES (99)",
        &[
            "public.users I 1",
            "public.users U 1",
            "public.users D 1",
            "public.users I 99",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_option_of_the_plugin_is_refused_by_name() {
    let mut lab = Lab::start().await;
    lab.allow(r#"pgevents: unknown option "formt""#);
    let refusal = lab
        .refused(&format!(
            "SELECT * FROM pg_logical_slot_peek_changes('{}', NULL, NULL, 'formt', 'json')",
            lab.name()
        ))
        .await;
    assert!(refusal.contains(r#""formt""#), "{refusal}");
    for option in ["format", "tables", "exclude-tables", "actions", "skip-noop"] {
        assert!(
            refusal.contains(option),
            "{option} is not named in {refusal}"
        );
    }
    lab.finish().await;
}

#[tokio::test]
async fn psql_shows_the_documented_event_without_a_relay() {
    let lab = Lab::start().await;
    lab.sql(TABLES).await;
    lab.sql("INSERT INTO users VALUES (1, 'Mikael Åkerfeldt')")
        .await;
    let name = lab.name();
    let row = lab
        .row(&format!(
            "SELECT data FROM pg_logical_slot_get_changes('{name}', NULL, NULL, 'format', 'json')"
        ))
        .await;
    let event: String = row.get(0);
    assert_eq!(
        event,
        r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael Åkerfeldt"},"id":1,"diff":{"id":1,"full_name":"Mikael Åkerfeldt"},"action":"I"}"#
    );
    lab.finish().await;
}
