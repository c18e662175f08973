//! Passwords and row values stay where they belong.

use std::fs;

use pgevents_tests::lab::{Lab, Log, Relay};

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

#[tokio::test]
async fn no_password_and_no_row_value_reaches_a_log_or_an_argument_list() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY, full_name text)")
        .await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().env("RUST_LOG", "trace").start();
    lab.sql(&format!("INSERT INTO users VALUES (1, '{ROW}')"))
        .await;
    assert!(queue.next().await.text().contains(ROW));
    let arguments = fs::read(format!("/proc/{}/cmdline", relay.process().pid())).expect("cmdline");
    relay.stop().await;
    let secrets = [
        lab.postgres().relay_password(),
        lab.rabbitmq().password(),
        ROW,
    ];
    for secret in secrets {
        assert!(!String::from_utf8_lossy(&arguments).contains(secret));
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
