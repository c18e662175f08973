//! Settings from flags, environment and a file, as a user gives them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pgevents_tests::lab::Lab;
use tempfile::TempDir;

/// A file of settings that only its owner can read.
fn settings(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("pgevents.toml");
    fs::write(&file, text).expect("write a file");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("keep it from others");
    file
}

#[tokio::test]
async fn a_file_of_settings_is_enough_and_a_variable_comes_before_it() {
    let lab = Lab::start().await;
    let folder = tempfile::tempdir().expect("make a folder");
    let name = lab.name();
    let (port, password) = (lab.postgres().port(), lab.postgres().relay_password());
    let url = lab.rabbitmq().url();
    let text = format!(
        "pghost = '127.0.0.1'\npgport = {port}\npgdatabase = '{name}'\npguser = 'relay'\n\
         pgpassword = '{password}'\npgslot = 'another'\npgtables = ['public.users']\n\
         rabbitmq-url = '{url}'\nrabbitmq-exchange = '{name}'\nskip-noop = true\n"
    );
    let file = settings(&folder, &text);
    lab.sql("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE others (id int PRIMARY KEY)")
        .await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let mut relay = lab
        .producer()
        .flag("--config", file.to_str().expect("UTF-8"));
    for variable in ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"] {
        relay = relay.without(variable);
    }
    let relay = relay.without("RABBITMQ_URL").without("RABBITMQ_EXCHANGE");
    // PGSLOT is left, and comes before the file; an empty variable does not.
    let relay = relay.env("PGTABLES", "").start();
    lab.sql("INSERT INTO others VALUES (1); INSERT INTO users VALUES (1)")
        .await;
    lab.sql("UPDATE users SET id = 1; INSERT INTO users VALUES (2)")
        .await;
    for id in ["1", "2"] {
        let event = queue.next().await;
        assert_eq!(
            (
                event.routing_key.as_str(),
                event.json()["id"].to_string().as_str()
            ),
            ("public.users", id)
        );
    }
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_line_break_behind_a_variable_is_not_part_of_it() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY); ALTER TABLE users REPLICA IDENTITY FULL")
        .await;
    let mut queue = lab.queue().await;
    let (port, url) = (lab.postgres().port().to_string(), lab.rabbitmq().url());
    let folder = tempfile::tempdir().expect("make a folder");
    let file = settings(
        &folder,
        "pgslot = 'of_the_file'\nrabbitmq-url = 'amqp://nowhere'\n",
    );
    let mounted = || {
        let variables = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGDATABASE", lab.name()),
            ("PGUSER", "relay"),
            ("PGPASSWORD", lab.postgres().relay_password()),
            ("PGSLOT", lab.name()),
            ("RABBITMQ_URL", &url),
            ("RABBITMQ_EXCHANGE", lab.name()),
            ("PGEVENTS_WINDOW", "5"),
            ("PGEVENTS_SKIP_NOOP", "true"),
            ("PGEVENTS_CONFIG", file.to_str().expect("UTF-8")),
        ];
        variables
            .into_iter()
            .fold(lab.producer(), |relay, (name, value)| {
                relay.env(name, &format!("{value}\r\n"))
            })
    };
    let relay = mounted().start();
    relay.logs("streaming").await;
    lab.sql("INSERT INTO users VALUES (1)").await;
    assert_eq!(queue.next().await.json()["id"].to_string(), "1");
    relay.stop().await;
    let check = mounted().flags("--check").start();
    assert_eq!(check.exit_code().await, 0);
    let shown = check.process().stdout().since(0).join("\n");
    for line in [
        &format!("pgslot = \"{}\"  # variable PGSLOT", lab.name()),
        "# rabbitmq-url is set, and not shown (variable RABBITMQ_URL)",
        "window = 5  # variable PGEVENTS_WINDOW",
        "skip-noop = true  # variable PGEVENTS_SKIP_NOOP",
    ] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }
    let help = mounted().flags("--help").start();
    assert_eq!(help.exit_code().await, 0);
    let shown = help.process().stdout().since(0).join("\n");
    assert!(!shown.contains(lab.postgres().relay_password()), "{shown}");
    assert!(!shown.contains(&url), "{shown}");
    lab.finish().await;
}

#[tokio::test]
async fn a_check_prints_what_is_in_force_without_secrets_and_opens_nothing() {
    let mut lab = Lab::without_slot().await;
    lab.allow("PGSSLMODE is");
    let folder = tempfile::tempdir().expect("make a folder");
    let file = settings(&folder, "window = 4000\n");
    let file = file.to_str().expect("UTF-8");
    let relay = lab.producer().flags("--check --pgtables public.users");
    let relay = relay.flag("--config", file).start();
    assert_eq!(relay.exit_code().await, 0);
    let said = relay.process().stdout().since(0).join("\n");
    for line in [
        "pghost = \"127.0.0.1\"  # variable PGHOST".to_owned(),
        "pgtables = \"public.users\"  # flag --pgtables".to_owned(),
        format!("window = 4000  # {file} line 1"),
        "confirm-timeout = 30  # default".to_owned(),
        "# pgpassword is set, and not shown (variable PGPASSWORD)".to_owned(),
    ] {
        assert!(said.contains(&line), "{line} is not in {said}");
    }
    for secret in [lab.postgres().relay_password(), lab.rabbitmq().password()] {
        assert!(!said.contains(secret), "{said}");
    }
    let wrong = lab
        .producer()
        .flags("--check")
        .env("PGSSLMODE", "on")
        .start();
    assert_eq!(wrong.exit_code().await, 2);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
    assert_eq!(lab.row(slots).await.get::<_, i64>(0), 0);
    lab.finish().await;
}
