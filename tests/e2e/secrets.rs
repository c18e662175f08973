//! Passwords and row values stay where they belong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use pgevents_tests::lab::{Lab, Log, Monitoring, Relay};

/// A row value that must be nowhere but in its event.
const ROW: &str = "canary-in-a-row";

/// Fails if one of `secrets` is in what a process wrote.
fn assert_silent(who: &str, logs: &[&Log], secrets: &[&str]) {
    for line in logs.iter().flat_map(|log| log.since(0)) {
        for secret in secrets {
            assert!(!line.contains(secret), "{who} says {secret}: {line}");
        }
    }
}

fn assert_relay_silent(relay: &Relay, secrets: &[&str]) {
    let process = relay.process();
    assert_silent("the relay", &[process.stdout(), process.stderr()], secrets);
}

/// The arguments of every process below this one, as every user of the machine can read them.
fn arguments_of_the_tree() -> Vec<(i32, String)> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").expect("list /proc").flatten() {
        // A process that ends meanwhile has nothing to show.
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, fields)| fields.split_whitespace().nth(1));
        let parent: i32 = parent.and_then(|pid| pid.parse().ok()).expect("a parent");
        parents.push((pid, parent));
    }
    let mut tree = vec![std::process::id() as i32];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    let arguments = |pid: i32| Some((pid, fs::read(format!("/proc/{pid}/cmdline")).ok()?));
    let readable =
        |(pid, bytes): (i32, Vec<u8>)| (pid, String::from_utf8_lossy(&bytes).into_owned());
    tree.into_iter()
        .filter_map(arguments)
        .map(readable)
        .collect()
}

#[tokio::test]
async fn no_password_and_no_row_value_reaches_a_log_or_an_argument_list() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY, full_name text)")
        .await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().env("RUST_LOG", "trace");
    let relay = relay.flags("--metrics-listen 127.0.0.1:0").start();
    let monitoring = Monitoring::of(&relay).await;
    lab.sql(&format!("INSERT INTO users VALUES (1, '{ROW}')"))
        .await;
    assert!(queue.next().await.text().contains(ROW));
    // Taken while all of it runs: relay, server processes with their titles, broker.
    let arguments = arguments_of_the_tree();
    let metrics = monitoring.page("/metrics").await.body;
    relay.stop().await;
    let secrets = [
        lab.postgres().relay_password(),
        lab.rabbitmq().password(),
        ROW,
    ];
    let of_the_relay = |(pid, _): &(i32, String)| *pid == relay.process().pid();
    assert!(arguments.iter().any(of_the_relay), "{arguments:?}");
    let senders = arguments
        .iter()
        .filter(|(_, line)| line.contains("walsender"));
    assert!(senders.count() > 0, "{arguments:?}");
    assert!(
        metrics.contains("pgevents_events_published_total"),
        "{metrics}"
    );
    for secret in secrets {
        assert!(
            !metrics.contains(secret),
            "the metrics show {secret}: {metrics}"
        );
    }
    for (pid, line) in &arguments {
        for secret in secrets {
            assert!(
                !line.contains(secret),
                "process {pid} shows {secret}: {line}"
            );
        }
    }
    assert_relay_silent(&relay, &secrets);
    for server in [lab.postgres().process(), lab.rabbitmq().process()] {
        assert_silent(server.name(), &[server.stdout(), server.stderr()], &secrets);
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_start_that_fails_names_no_password() {
    const WRONG: &str = "wrong-canary";
    let mut lab = Lab::start().await;
    for text in [
        "password authentication failed for user",
        "PostgreSQL refuses (3D000)",
        "read RABBITMQ_URL: not of the form",
        "log in to RabbitMQ at amqp://127.0.0.1",
        "open virtual host",
    ] {
        lab.allow(text);
    }
    let password = lab.rabbitmq().password().to_owned();
    let broker = |user: &str, password: &str, vhost: &str| {
        let url = lab.rabbitmq().url_of(user, password, vhost);
        lab.producer().env("RABBITMQ_URL", &url)
    };
    let starts = [
        lab.producer().env("PGPASSWORD", WRONG),
        lab.producer().env("PGDATABASE", "no_such_database"),
        lab.producer()
            .env("RABBITMQ_URL", &format!("{WRONG} is no URL")),
        lab.producer().env(
            "RABBITMQ_URL",
            &format!("amqp://lab:{WRONG}@127.0.0.1:port/"),
        ),
        lab.producer()
            .env("RABBITMQ_URL", &format!("http://lab:{WRONG}@127.0.0.1/")),
        broker("lab", WRONG, "%2f"),
        broker("lab", &password, "no_such_vhost"),
    ];
    for start in starts {
        let relay = start.env("RUST_LOG", "trace").start();
        assert_ne!(relay.exit_code().await, 0);
        let secrets = [WRONG, &password, lab.postgres().relay_password()];
        assert_relay_silent(&relay, &secrets);
        for server in [lab.postgres().process(), lab.rabbitmq().process()] {
            assert_silent(server.name(), &[server.stdout(), server.stderr()], &secrets);
        }
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_password_on_the_command_line_works_with_a_warning() {
    let mut lab = Lab::start().await;
    lab.allow("shows its value in the list of processes");
    let (password, url) = (lab.postgres().relay_password(), lab.rabbitmq().url());
    let relay = lab.producer().without("PGPASSWORD").without("RABBITMQ_URL");
    let relay = relay
        .flag("--pgpassword", password)
        .flag("--rabbitmq-url", &url)
        .start();
    relay.logs("streaming").await;
    for flag in ["--pgpassword", "--rabbitmq-url"] {
        let line = relay.logs(flag).await;
        assert!(line.contains("WARN") && line.contains("_FILE"), "{line}");
    }
    assert_relay_silent(&relay, &[password, lab.rabbitmq().password()]);
    lab.finish().await;
}

#[tokio::test]
async fn secrets_come_from_files() {
    let lab = Lab::start().await;
    let folder = tempfile::tempdir().expect("make a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("write a secret");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("keep it from others");
        path.to_str().expect("UTF-8").to_owned()
    };
    let password = lab.postgres().relay_password();
    let (port, name) = (lab.postgres().port(), lab.name());
    let line = format!("127.0.0.1:{port}:{name}:relay:{password}\n");
    let url = file("amqp", &format!("{}\n", lab.rabbitmq().url()));
    for (variable, path) in [
        (
            "PGPASSWORD_FILE",
            file("password", &format!("{password}\n")),
        ),
        ("PGPASSFILE", file("pgpass", &line)),
    ] {
        let relay = lab.producer().without("PGPASSWORD").without("RABBITMQ_URL");
        let relay = relay
            .env(variable, &path)
            .env("RABBITMQ_URL_FILE", &url)
            .start();
        relay.logs("streaming").await;
        relay.stop().await;
        lab.slot_is_free().await;
    }
    lab.finish().await;
}

#[tokio::test]
async fn the_owner_of_a_database_gains_nothing_from_the_relays_session() {
    let lab = Lab::without_slot().await;
    let mut queue = lab.queue().await;
    // A search_path that puts functions of the owner before those of the server.
    lab.sql(
        "CREATE SCHEMA evil;
         CREATE TABLE evil.taken (role text);
         GRANT USAGE ON SCHEMA evil TO PUBLIC;
         GRANT INSERT ON evil.taken TO PUBLIC;
         CREATE FUNCTION evil.current_setting(n text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO evil.taken VALUES (current_user);
             RETURN pg_catalog.current_setting(n);
         END $$;
         CREATE FUNCTION evil.same(a name, b name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO evil.taken VALUES (current_user);
             RETURN a OPERATOR(pg_catalog.=) b;
         END $$;
         CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.same);
         CREATE TABLE public.orders (id int PRIMARY KEY);
         ALTER TABLE public.orders REPLICA IDENTITY FULL;",
    )
    .await;
    let name = lab.name();
    lab.sql(&format!(
        "ALTER DATABASE \"{name}\" SET search_path = evil, pg_catalog, public"
    ))
    .await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    lab.sql("INSERT INTO public.orders VALUES (1)").await;
    queue.take(1).await;
    let taken: i64 = lab.row("SELECT count(*) FROM evil.taken").await.get(0);
    assert_eq!(taken, 0, "the owner's code ran in the relay's session");
    relay.stop().await;
    lab.finish().await;
}
