//! `pgevents doctor` in front of real servers: what is right, what is wrong, and that it changes
//! nothing.

use std::time::Instant;

use pgevents_tests::lab::{Lab, PATIENCE, RelayCommand};
use serde_json::Value;

/// Exit codes of the command.
const NOTHING_FAILED: i32 = 0;
const SOMETHING_FAILED: i32 = 1;

/// Where every check has to be explained.
const DOCUMENTED: &str = include_str!("../../docs/doctor.md");

/// What the server says when another test's transaction holds up the temporary slot; the plugin was
/// loaded by then.
const HELD_UP: &str = "canceling statement due to statement timeout";

/// Runs the doctor; returns its exit code and its report.
async fn run(doctor: RelayCommand<'_>) -> (i32, String) {
    let doctor = doctor.flags("--json").start();
    let ended = doctor.exit_code().await;
    (ended, doctor.process().stdout().since(0).join("\n"))
}

/// Findings of one run, in its order.
struct Findings(Vec<Value>);

impl Findings {
    /// Runs the doctor, and expects the exit code.
    async fn of(doctor: RelayCommand<'_>, code: i32) -> Self {
        let (ended, text) = run(doctor).await;
        assert_eq!(ended, code, "exit code; found {text}");
        let report: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        let findings = report["findings"].as_array().expect("a list").clone();
        for finding in &findings {
            let check = finding["check"].as_str().expect("a name");
            assert!(DOCUMENTED.contains(&format!("`{check}`")), "{check}");
        }
        Self(findings)
    }

    /// Expects that a check, about something that `about` is part of, has this level, and that text
    /// and remedy together hold `says`.
    fn check(&self, check: &str, about: &str, level: &str, says: &str) {
        let same = |finding: &&Value| {
            let subject = finding["subject"].as_str().unwrap_or_default();
            finding["check"] == check && subject.contains(about)
        };
        let Some(finding) = self.0.iter().find(same) else {
            panic!("no {check} {about} in {:#?}", self.0);
        };
        assert_eq!(finding["level"], level, "{finding:#}");
        let text = format!("{} {}", finding["says"], finding["fix"]);
        assert!(text.contains(says), "{says:?} is not in {finding:#}");
    }
}

#[tokio::test]
async fn a_setup_that_works_has_no_failure() {
    let mut lab = Lab::start().await;
    lab.allow(HELD_UP);
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let _queue = lab.quorum_queue().await;
    let doctor = lab.command("doctor").env("PGTABLES", "public.users");
    let found = Findings::of(doctor, NOTHING_FAILED).await;
    for (check, says) in [
        ("postgres.connection", "relay"),
        ("postgres.tls", "this machine"),
        ("postgres.version", "PostgreSQL"),
        ("postgres.wal_level", "logical"),
        ("postgres.slots", "replication slots in use"),
        ("postgres.walsenders", "walsenders in use"),
        ("postgres.role", "may replicate"),
        ("postgres.slot", "nobody reads it"),
        ("postgres.table", "whole rows"),
        ("postgres.replication", "pg_hba.conf"),
        ("postgres.plugin", "as the relay"),
        ("broker.connection", "127.0.0.1"),
        ("broker.exchange", "durable topic"),
        ("broker.publish", "may publish"),
        ("broker.fence", "one relay of a slot"),
    ] {
        found.check(check, "", "ok", says);
    }
    found.check(
        "postgres.max_slot_wal_keep_size",
        "",
        "warn",
        "ALTER SYSTEM",
    );
    found.check("postgres.transactions", "", "skip", "pg_read_all_stats");
    found.check("broker.management", "", "skip", "RABBITMQ_MANAGEMENT_URL");
    lab.finish().await;
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let mut lab = Lab::without_slot().await;
    lab.allow(HELD_UP);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()
        OR slot_name LIKE 'pgevents_doctor%'";
    let found = Findings::of(lab.command("doctor"), NOTHING_FAILED).await;
    found.check("postgres.slot", lab.name(), "ok", "does not exist");
    found.check("postgres.plugin", "", "ok", "as the relay");
    found.check("broker.exchange", lab.name(), "ok", "does not exist");
    // The server notices the end of the session, and with it of the temporary slot, later.
    lab.sql(&format!(
        "DO $$ BEGIN WHILE ({slots}) > 0 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    ))
    .await;
    lab.finish().await;
}

#[tokio::test]
async fn what_is_wrong_comes_with_what_mends_it() {
    let mut lab = Lab::without_slot().await;
    lab.allow("may not replicate");
    let name = lab.name().to_owned();
    lab.sql(
        "CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE bare (a int);
         CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS id;
         CREATE TABLE parts (id int) PARTITION BY LIST (id);",
    )
    .await;
    lab.row(&format!(
        "SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"
    ))
    .await;
    lab.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD 'plain'"))
        .await;
    let list = "public.keyed,public.bare,public.fast,public.seen,public.parts,public.gone";
    let doctor = lab
        .command("doctor")
        .env("PGTABLES", list)
        .env("PGUSER", &name)
        .env("PGPASSWORD", "plain")
        .flags("--exchange-declare passive");
    let found = Findings::of(doctor, SOMETHING_FAILED).await;
    let role = format!("ALTER ROLE \\\"{name}\\\" REPLICATION;");
    found.check("postgres.role", "", "fail", &role);
    found.check("postgres.plugin", "", "skip", "may replicate");
    found.check("postgres.slot", &name, "fail", "test_decoding");
    let table = |table, level, says| found.check("postgres.table", table, level, says);
    table("public.keyed", "warn", "REPLICA IDENTITY FULL;");
    table("public.bare", "warn", "without the old row");
    table("public.fast", "fail", "SET LOGGED;");
    table("public.seen", "fail", "is a view");
    table("public.parts", "warn", "--partition-root");
    table("public.gone", "warn", "no table that exists");
    found.check(
        "broker.exchange",
        &name,
        "fail",
        "rabbitmqadmin declare exchange",
    );
    lab.finish().await;
}

#[tokio::test]
async fn servers_that_cannot_be_reached_do_not_hide_each_other() {
    let lab = Lab::without_slot().await;
    let doctor = lab
        .command("doctor")
        .env("PGPORT", "1")
        .env("RABBITMQ_URL", "amqp://lab:canary@127.0.0.1:1/%2f");
    let found = Findings::of(doctor, SOMETHING_FAILED).await;
    found.check("postgres.connection", "", "fail", "127.0.0.1:1");
    found.check("broker.connection", "", "fail", "127.0.0.1:1");
    lab.finish().await;
}

#[tokio::test]
async fn a_server_that_is_not_set_up_is_told_every_step() {
    let settings = "wal_level = replica\nmax_slot_wal_keep_size = 1GB\nmax_wal_senders = 1";
    let lab = Lab::with_own_postgres(settings).await;
    let found = Findings::of(lab.command("doctor"), SOMETHING_FAILED).await;
    found.check("postgres.wal_level", "", "fail", "wal_level = logical");
    found.check("postgres.walsenders", "", "warn", "max_wal_senders = 10");
    found.check("postgres.max_slot_wal_keep_size", "", "ok", "1.0 GiB");
    found.check("postgres.plugin", "", "skip", "wal_level");
    lab.finish().await;
}

#[tokio::test]
async fn a_plugin_that_is_not_installed_is_found_without_a_slot() {
    let mut lab = Lab::with_own_postgres("dynamic_library_path = '$libdir'").await;
    lab.allow("could not access file");
    let found = Findings::of(lab.command("doctor"), SOMETHING_FAILED).await;
    found.check("postgres.plugin", "", "fail", "pg_config --pkglibdir");
    lab.finish().await;
}

#[tokio::test]
async fn the_management_api_shows_keys_without_a_queue_and_alarms() {
    let mut lab = Lab::with_own_rabbitmq().await;
    lab.allow(HELD_UP);
    lab.sql("CREATE TABLE users (id int PRIMARY KEY); ALTER TABLE users REPLICA IDENTITY FULL;")
        .await;
    let management = lab.rabbitmq().serve_management().expect("start the API");
    let doctor = || {
        let doctor = lab.command("doctor").env("PGTABLES", "public.users");
        doctor.env("RABBITMQ_MANAGEMENT_URL", &management)
    };
    let found = Findings::of(doctor(), SOMETHING_FAILED).await;
    found.check("broker.version", "", "ok", "RabbitMQ");
    found.check("broker.message_size", "", "ok", "16.0 MiB");
    found.check("broker.binding", "public.users", "fail", "declare binding");

    let _classic = lab.queue().await;
    let found = Findings::of(doctor(), NOTHING_FAILED).await;
    found.check("broker.alarms", "", "ok", "none");
    found.check("broker.binding", "public.users", "ok", lab.name());
    found.check("broker.queue", lab.name(), "warn", "quorum");

    lab.rabbitmq().alarm(true).expect("raise the alarm");
    // The API looks at its node every five seconds.
    let deadline = Instant::now() + PATIENCE;
    while !run(doctor()).await.1.contains("memory alarm") {
        assert!(Instant::now() < deadline, "the alarm is not seen");
    }
    lab.rabbitmq().alarm(false).expect("end the alarm");

    let wrong = management.replace("http://", "http://lab:wrong-canary@");
    let doctor = lab.command("doctor").env("RABBITMQ_MANAGEMENT_URL", &wrong);
    let found = Findings::of(doctor, SOMETHING_FAILED).await;
    found.check("broker.management", "", "fail", "401");
    lab.finish().await;
}

#[tokio::test]
async fn a_user_without_permissions_is_told_which_it_needs() {
    let mut lab = Lab::start().await;
    lab.allow(HELD_UP);
    let _queue = lab.queue().await;
    let (broker, user) = (lab.rabbitmq(), lab.name());
    broker
        .control(&["add_user", user, "plain"])
        .expect("add a user");
    let permit = |configure, write, read| {
        let arguments = ["set_permissions", user, configure, write, read];
        broker.control(&arguments).expect("set permissions");
    };
    let url = broker.url_of(user, "plain", "%2f");
    let doctor = || lab.command("doctor").env("RABBITMQ_URL", &url);
    permit(".*", "^$", ".*");
    let found = Findings::of(doctor(), SOMETHING_FAILED).await;
    let lock = r"pgevents\.fence\..*".replace('\\', r"\\");
    let command = format!("set_permissions --vhost / {user} '^({user}|{lock})$' '^{user}$' ''");
    found.check("broker.publish", "", "fail", &command);
    // No more than it needs: amq.topic cannot be read.
    let only = format!("^{user}$");
    permit(&only, &only, "^$");
    let found = Findings::of(doctor(), NOTHING_FAILED).await;
    found.check("broker.publish", "", "ok", "may publish");
    permit("^$", &only, "^$");
    let found = Findings::of(doctor(), SOMETHING_FAILED).await;
    found.check("broker.exchange", "", "fail", "--exchange-declare passive");
    lab.finish().await;
}
