//! What a server refuses: at the start it ends the relay, with what mends it; what has worked
//! before is waited for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pgevents_tests::lab::{Lab, Queue, RelayCommand};
use tempfile::TempDir;

const BROKER_REFUSES: i32 = 20;

const TABLE: &str = "CREATE TABLE orders (id int PRIMARY KEY);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// The relay's word for what has worked before.
const WORKED: &str = "it has worked before";

/// A file with a secret, which can be changed.
struct SecretFile {
    folder: TempDir,
}

impl SecretFile {
    fn with(secret: &str) -> Self {
        let folder = tempfile::tempdir().expect("make a folder");
        let file = Self { folder };
        file.write(secret);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    fn write(&self, secret: &str) {
        fs::write(self.path(), format!("{secret}\n")).expect("write a secret");
        let own = Permissions::from_mode(0o600);
        fs::set_permissions(self.path(), own).expect("keep it from others");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A user of the broker that may do these: configure, write, read.
fn add_user(lab: &Lab, user: &str, permissions: [&str; 3]) {
    let run = |arguments: &[&str]| lab.rabbitmq().control(arguments).expect("run rabbitmqctl");
    run(&["add_user", user, "first"]);
    let [configure, write, read] = permissions;
    run(&["set_permissions", "-p", "/", user, configure, write, read]);
}

async fn arrives(lab: &Lab, queue: &mut Queue, id: u32) {
    lab.sql(&format!("INSERT INTO orders VALUES ({id})")).await;
    assert_eq!(queue.next().await.json()["id"].to_string(), id.to_string());
}

/// Starts a relay that must end with this code, and an error that holds all of `says`.
async fn ends(relay: RelayCommand<'_>, code: i32, says: &[&str]) {
    let relay = relay.start();
    let ended = relay.exit_code().await;
    let log = relay.process().stderr().since(0).join("\n");
    assert_eq!(ended, code, "{log}");
    for text in says {
        assert!(log.contains(text), "{text:?} is not in {log}");
    }
}

#[tokio::test]
async fn secrets_that_are_changed_while_the_relay_runs_count_at_the_next_connection() {
    let mut lab = Lab::start().await;
    for expected in [
        "password authentication failed",
        "PostgreSQL refuses (28P01)",
        "terminating connection due to administrator command",
        "keep the connection to",
        "PostgreSQL shuts down",
        "log in to RabbitMQ",
    ] {
        lab.allow(expected);
    }
    lab.sql(TABLE).await;
    let name = lab.name().to_owned();
    lab.sql(&format!(
        "CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'first'"
    ))
    .await;
    add_user(&lab, &name, [".*", ".*", ".*"]);
    let url = |password: &str| lab.rabbitmq().url_of(&name, password, "%2f");
    let (password, broker) = (SecretFile::with("first"), SecretFile::with(&url("first")));
    let mut queue = lab.queue().await;
    let relay = lab.producer().without("PGPASSWORD").without("RABBITMQ_URL");
    let relay = relay
        .env("PGUSER", &name)
        .env("PGPASSWORD_FILE", text(&password.path()))
        .env("RABBITMQ_URL_FILE", text(&broker.path()))
        .start();
    arrives(&lab, &mut queue, 1).await;

    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{name}'"
    );
    lab.sql(&format!("ALTER ROLE {name} PASSWORD 'second'"))
        .await;
    let from = relay.process().stderr().len();
    lab.row(&cut).await;
    relay.logs_after(from, WORKED).await;
    password.write("second");
    arrives(&lab, &mut queue, 2).await;

    let run = |arguments: &[&str]| lab.rabbitmq().control(arguments).expect("run rabbitmqctl");
    run(&["change_password", &name, "second"]);
    let from = relay.process().stderr().len();
    run(&["close_all_user_connections", &name, "changed"]);
    relay.logs_after(from, WORKED).await;
    broker.write(&url("second"));
    arrives(&lab, &mut queue, 3).await;
    relay.stop().await;
    lab.slot_is_free().await;
    lab.sql(&format!("DROP ROLE {name}")).await;
    lab.finish().await;
}

#[tokio::test]
async fn who_may_not_publish_is_told_what_to_permit_and_waits_only_if_it_could_before() {
    let mut lab = Lab::start().await;
    for expected in [WORKED, "publish to exchange", "keep the connection to"] {
        lab.allow(expected);
    }
    lab.sql(TABLE).await;
    let name = lab.name().to_owned();
    add_user(&lab, &name, [".*", "^$", ""]);
    let run = |arguments: &[&str]| lab.rabbitmq().control(arguments).expect("run rabbitmqctl");
    let mut queue = lab.queue().await;
    let url = lab.rabbitmq().url_of(&name, "first", "%2f");
    let relay = || {
        let relay = lab.producer().env("RABBITMQ_URL", &url);
        relay.flags("--exchange-declare passive")
    };
    lab.sql("INSERT INTO orders VALUES (1)").await;
    let says = ["list_user_permissions", "list_topic_permissions"];
    ends(relay(), BROKER_REFUSES, &says).await;
    lab.slot_is_free().await;
    run(&["set_permissions", "-p", "/", &name, ".*", ".*", ""]);
    let shop = [
        "set_topic_permissions",
        "-p",
        "/",
        &name,
        &name,
        r"^shop\..*",
        "",
    ];
    run(&shop);
    ends(relay(), BROKER_REFUSES, &says).await;
    lab.slot_is_free().await;
    run(&["clear_topic_permissions", "-p", "/", &name]);
    let relay = relay().start();
    assert_eq!(queue.next().await.json()["id"].to_string(), "1");

    run(&shop);
    // The broker remembers for a moment what a channel may do.
    let from = relay.process().stderr().len();
    run(&["close_all_user_connections", &name, "changed"]);
    lab.sql("INSERT INTO orders VALUES (2)").await;
    relay.logs_after(from, WORKED).await;
    run(&["clear_topic_permissions", "-p", "/", &name]);
    assert_eq!(queue.next().await.json()["id"].to_string(), "2");
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_limit_of_the_broker_is_named_at_the_start_and_waited_for_afterwards() {
    let mut lab = Lab::start().await;
    for expected in [WORKED, "open virtual host", "keep the connection to"] {
        lab.allow(expected);
    }
    lab.sql(TABLE).await;
    let name = lab.name().to_owned();
    add_user(&lab, &name, [".*", ".*", ".*"]);
    let run = |arguments: &[&str]| lab.rabbitmq().control(arguments).expect("run rabbitmqctl");
    let limit = ["set_user_limits", &name, r#"{"max-connections":0}"#];
    let mut queue = lab.queue().await;
    let url = lab.rabbitmq().url_of(&name, "first", "%2f");
    let relay = || lab.producer().env("RABBITMQ_URL", &url);
    run(&limit);
    ends(relay(), BROKER_REFUSES, &["list_user_limits --user"]).await;
    run(&["clear_user_limits", &name, "all"]);
    lab.slot_is_free().await;
    let relay = relay().start();
    arrives(&lab, &mut queue, 1).await;
    run(&limit);
    let from = relay.process().stderr().len();
    run(&["close_all_user_connections", &name, "limited"]);
    relay.logs_after(from, WORKED).await;
    run(&["clear_user_limits", &name, "all"]);
    arrives(&lab, &mut queue, 2).await;
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_the_one_that_is_named() {
    let mut lab = Lab::without_slot().await;
    for expected in ["permission denied for", "PostgreSQL refuses (42501)"] {
        lab.allow(expected);
    }
    let name = lab.name().to_owned();
    lab.sql(&format!(
        "CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'p';
         REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
    ))
    .await;
    let relay = || {
        let relay = lab.producer().env("PGUSER", &name);
        relay.env("PGPASSWORD", "p").flags("--sink stdout")
    };
    let connect = format!("GRANT CONNECT ON DATABASE \\\"{name}\\\" TO \\\"{name}\\\"");
    ends(relay(), 2, &[&connect]).await;
    lab.sql(&format!(
        "GRANT CONNECT ON DATABASE {name} TO {name};
         REVOKE EXECUTE ON FUNCTION pg_create_logical_replication_slot FROM PUBLIC"
    ))
    .await;
    ends(
        relay(),
        2,
        &["GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_log"],
    )
    .await;
    lab.sql(&format!(
        "REVOKE CONNECT ON DATABASE {name} FROM {name}; DROP ROLE {name}"
    ))
    .await;
    lab.finish().await;
}
