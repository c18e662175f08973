//! Passwords and row values stay where they belong.

use std::fs;

use pgevents_tests::lab::Lab;

#[tokio::test]
async fn no_password_and_no_row_value_reaches_a_log_or_an_argument_list() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY, full_name text)")
        .await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().env("RUST_LOG", "trace").start();
    lab.sql("INSERT INTO users VALUES (1, 'canary-in-a-row')")
        .await;
    assert!(queue.next().await.text().contains("canary-in-a-row"));
    let arguments = fs::read(format!("/proc/{}/cmdline", relay.process().pid())).expect("cmdline");
    relay.stop().await;
    let secrets = [
        lab.postgres().relay_password(),
        lab.rabbitmq().password(),
        "canary-in-a-row",
    ];
    for secret in secrets {
        let said = |lines: Vec<String>| lines.into_iter().find(|line| line.contains(secret));
        assert_eq!(said(relay.process().stderr().since(0)), None);
        assert_eq!(said(relay.process().stdout().since(0)), None);
        assert!(!String::from_utf8_lossy(&arguments).contains(secret));
    }
    lab.finish().await;
}
