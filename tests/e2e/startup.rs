//! What can be wrong before the first event: one line that says cause and remedy, and an exit code.

use lapin::options::ExchangeDeclareOptions;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use pgevents_tests::lab::{Lab, RelayCommand};
use serde_json::Value;

/// Exit codes of the relay.
const CONFIGURATION: i32 = 2;
const SLOT_MISSING: i32 = 10;
const SLOT_LOST: i32 = 11;
const BROKER_REFUSES: i32 = 20;

/// Starts a relay that cannot work, and expects this exit code and exactly one error line, which
/// holds all of `says`.
async fn check(relay: RelayCommand<'_>, code: i32, says: &[&str]) {
    let relay = relay.start();
    let ended = relay.exit_code().await;
    expect_error(&relay.process().stderr().since(0), says);
    assert_eq!(ended, code, "exit code");
}

fn expect_error(log: &[String], says: &[&str]) {
    let errors: Vec<&String> = log.iter().filter(|line| level(line) == "ERROR").collect();
    assert_eq!(errors.len(), 1, "one error line: {errors:#?}");
    for text in says {
        assert!(errors[0].contains(text), "{text:?} is not in {}", errors[0]);
    }
}

fn level(line: &str) -> String {
    let entry: Option<Value> = serde_json::from_str(line).ok();
    entry
        .and_then(|entry| Some(entry["level"].as_str()?.to_owned()))
        .unwrap_or_default()
}

/// Lines of the relay's log and of the server's that a refused start leaves.
async fn lab_allowing(texts: &[&str]) -> Lab {
    let mut lab = Lab::without_slot().await;
    for text in texts {
        lab.allow(text);
    }
    lab
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    let lab = lab_allowing(&["password authentication failed for user"]).await;
    check(
        lab.producer().env("PGPASSWORD", "wrong-canary"),
        CONFIGURATION,
        &["password", "PGPASSWORD"],
    )
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let lab = lab_allowing(&["PostgreSQL refuses (3D000)"]).await;
    check(
        lab.producer().env("PGDATABASE", "no_such_database"),
        CONFIGURATION,
        &["no_such_database"],
    )
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn a_server_that_does_not_log_logical_changes_is_named() {
    let mut lab = Lab::with_own_postgres("wal_level = replica").await;
    lab.allow("wal_level is replica, and logical decoding needs logical");
    check(lab.producer(), CONFIGURATION, &["wal_level", "logical"]).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_plugin_that_is_not_installed_is_named() {
    let mut lab = Lab::with_own_postgres("dynamic_library_path = '$libdir'").await;
    lab.allow("could not access file");
    check(lab.producer(), CONFIGURATION, &["pgevents.so"]).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_plugin_that_the_server_does_not_allow_comes_with_the_command_that_allows_it() {
    let mut lab = Lab::with_own_postgres("").await;
    if !lab.postgres().has_plugin_list() {
        // Before the minor releases that ask for permission every plugin is allowed.
        lab.create_slot().await;
        return lab.finish().await;
    }
    lab.allow("may not be used as an output plugin");
    lab.sql("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding")
        .await;
    lab.own_postgres().stop().await.expect("stop the server");
    lab.own_postgres().run().await.expect("start the server");
    lab.allow("terminating connection due to administrator command");
    lab.reconnect().await;
    let remedy = "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, pgevents";
    check(lab.producer(), CONFIGURATION, &[remedy, "pg_reload_conf()"]).await;
    lab.sql(remedy).await;
    lab.sql("SELECT pg_reload_conf()").await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    lab.finish().await;
}

#[tokio::test]
async fn a_role_without_replication_comes_with_the_command_that_grants_it() {
    let lab = lab_allowing(&["may not replicate: as superuser, run: ALTER ROLE"]).await;
    let role = format!("{}_role", lab.name());
    lab.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'plain'"))
        .await;
    let plain = lab
        .producer()
        .env("PGUSER", &role)
        .env("PGPASSWORD", "plain");
    check(plain, CONFIGURATION, &["ALTER ROLE", &role, "REPLICATION"]).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_of_another_plugin_is_named() {
    let lab = lab_allowing(&["belongs to test_decoding, not to pgevents"]).await;
    let name = lab.name();
    lab.row(&format!(
        "SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"
    ))
    .await;
    check(
        lab.producer(),
        CONFIGURATION,
        &["test_decoding", lab.name()],
    )
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn a_lost_slot_ends_the_relay() {
    let mut lab = Lab::with_own_postgres("max_slot_wal_keep_size = 1MB").await;
    lab.allow("is lost, since the server has removed WAL");
    lab.create_slot().await;
    lab.sql("CREATE TABLE filler (bytes text)").await;
    for _ in 0..3 {
        lab.sql("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
            .await;
        lab.row("SELECT pg_switch_wal()").await;
        lab.sql("CHECKPOINT").await;
    }
    check(lab.producer(), SLOT_LOST, &["lost", lab.name()]).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_that_is_dropped_under_the_relay_ends_it() {
    let mut lab = Lab::start().await;
    lab.allow("terminating connection due to administrator command");
    lab.allow("existed and is gone");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().start();
    lab.sql("INSERT INTO users VALUES (1)").await;
    queue.next().await;
    lab.sql(&format!(
        "DO $$ BEGIN LOOP
           BEGIN
             PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots
               WHERE slot_name = '{name}' AND active;
             PERFORM pg_drop_replication_slot('{name}');
             RETURN;
           EXCEPTION WHEN object_in_use THEN NULL;
           END;
         END LOOP; END $$",
        name = lab.name()
    ))
    .await;
    assert_eq!(relay.exit_code().await, SLOT_MISSING);
    expect_error(&relay.process().stderr().since(0), &[lab.name()]);
    lab.finish().await;
}

#[tokio::test]
async fn a_second_relay_waits_for_the_slot_and_takes_over() {
    let mut lab = Lab::start().await;
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("is active for PID");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let first = lab.producer().start();
    lab.sql("INSERT INTO users VALUES (1)").await;
    assert_eq!(queue.next().await.json()["id"].to_string(), "1");
    let second = lab.producer().start();
    second.logs("slot is in use").await;
    first.stop().await;
    lab.sql("INSERT INTO users VALUES (2)").await;
    assert_eq!(queue.next().await.json()["id"].to_string(), "2");
    assert_eq!(second.process().status(), None);
    lab.finish().await;
}

#[tokio::test]
async fn an_unreachable_broker_is_waited_for() {
    let mut lab = Lab::start().await;
    // Nothing listens on port 1 of loopback.
    let url = "amqp://lab:canary@127.0.0.1:1/%2f";
    lab.allow("connect to RabbitMQ at amqp://127.0.0.1:1 ");
    let relay = lab.producer().env("RABBITMQ_URL", url).start();
    let line = relay.logs("127.0.0.1:1").await;
    assert!(!line.contains("canary"), "{line}");
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn an_unreachable_server_is_waited_for() {
    let mut lab = Lab::start().await;
    lab.allow("connect to PostgreSQL at 127.0.0.1:1 ");
    let relay = lab.producer().env("PGPORT", "1").start();
    relay.logs("127.0.0.1:1").await;
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_broker_that_refuses_the_password_ends_the_relay() {
    let mut lab = Lab::start().await;
    lab.allow("log in to RabbitMQ at amqp://127.0.0.1");
    let url = lab.rabbitmq().url_of("lab", "wrong-canary", "%2f");
    let wrong = lab.producer().env("RABBITMQ_URL", &url);
    check(wrong, BROKER_REFUSES, &["refuse", "RABBITMQ_URL"]).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_missing_virtual_host_is_named() {
    let mut lab = Lab::start().await;
    lab.allow("open virtual host");
    let password = lab.rabbitmq().password().to_owned();
    let url = lab.rabbitmq().url_of("lab", &password, "no_such_vhost");
    check(
        lab.producer().env("RABBITMQ_URL", &url),
        BROKER_REFUSES,
        &["no_such_vhost"],
    )
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named() {
    let mut lab = Lab::start().await;
    lab.allow("it exists, and is not what the relay would declare");
    let connection =
        Connection::connect(&lab.rabbitmq().url(), ConnectionProperties::default()).await;
    let channel = connection
        .expect("connect")
        .create_channel()
        .await
        .expect("open a channel");
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let direct = ExchangeKind::Direct;
    let declared = channel.exchange_declare(lab.name().into(), direct, durable, <_>::default());
    declared.await.expect("declare the exchange");
    check(
        lab.producer(),
        BROKER_REFUSES,
        &["exchange", lab.name(), "topic"],
    )
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn a_list_that_names_what_is_not_there_is_warned_about_and_strictly_refused() {
    let mut lab = Lab::start().await;
    lab.allow("which fits no");
    lab.allow("which is partitioned");
    lab.allow("a column of the primary key of public.users");
    lab.sql(
        "CREATE TABLE users (id int PRIMARY KEY, email text);
         CREATE TABLE root (id int) PARTITION BY LIST (id);
         CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
         ALTER TABLE users REPLICA IDENTITY FULL",
    )
    .await;
    let mut queue = lab.queue().await;
    let columns = "public.users.e_mail,public.users.id";
    let (tables, excluded) = ("public.users,public.root,public.gone", "public.uzers");
    let producer = || {
        let producer = lab.producer().env("PGTABLES", tables);
        let producer = producer.env("PGEVENTS_EXCLUDE_TABLES", excluded);
        producer.env("PGEVENTS_EXCLUDE_COLUMNS", columns)
    };
    let relay = producer().start();
    lab.sql("INSERT INTO users VALUES (1, 'a')").await;
    assert_eq!(queue.next().await.routing_key, "public.users");
    for says in [
        "PGTABLES names public.root, which is partitioned",
        "PGTABLES names public.gone, which fits no table",
        "--exclude-tables names public.uzers, which fits no table",
        "--exclude-columns names public.users.e_mail, which fits no column",
        "--exclude-columns names public.users.id, a column of the primary key of public.users",
    ] {
        let line = relay.logs(says).await;
        assert_eq!(level(&line), "WARN", "{line}");
    }
    relay.stop().await;
    let strict = producer().env("PGEVENTS_STRICT", "true");
    check(strict, CONFIGURATION, &["public.root", "--strict"]).await;
    let doctor = lab.command("doctor").env("PGTABLES", "public.users");
    let doctor = doctor.env("PGEVENTS_EXCLUDE_COLUMNS", columns);
    let doctor = doctor.flags("--json").start();
    assert_eq!(doctor.exit_code().await, 1, "something failed");
    let found = doctor.process().stdout().since(0).join("\n");
    let fail =
        "\"check\":\"postgres.exclusion\",\"subject\":\"public.users.e_mail\",\"level\":\"fail\"";
    assert!(found.contains(fail), "{found}");
    lab.finish().await;
}

#[tokio::test]
async fn a_table_without_full_identity_is_advised_about_once() {
    let mut lab = Lab::start().await;
    lab.allow("updates and deletes come without the whole old row");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY, full_name text)")
        .await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().start();
    lab.sql("INSERT INTO users VALUES (1, 'a'); UPDATE users SET full_name = 'b'")
        .await;
    lab.sql("UPDATE users SET full_name = 'c'").await;
    queue.take(3).await;
    relay.stop().await;
    let advice = r#"ALTER TABLE \"public\".\"users\" REPLICA IDENTITY FULL"#;
    let log = relay.process().stderr().since(0);
    let advised = log.iter().filter(|line| line.contains(advice)).count();
    assert_eq!(advised, 1, "{log:#?}");
    lab.finish().await;
}
