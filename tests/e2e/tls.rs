//! TLS with certificates made for each test: what is right works, what is not is refused in one
//! line.

mod postgres;
mod rabbitmq;

use std::path::Path;

use pgevents_tests::lab::{Lab, Queue, RelayCommand};

/// Exit code of a relay whose configuration has to change.
const CONFIGURATION: i32 = 2;

/// Sends one row through the relay.
async fn check_that_a_row_arrives(lab: &Lab, queue: &mut Queue) {
    lab.sql(
        "CREATE TABLE users (id int PRIMARY KEY); \
             ALTER TABLE users REPLICA IDENTITY FULL; INSERT INTO users VALUES (1)",
    )
    .await;
    assert_eq!(queue.next().await.routing_key, "public.users");
}

/// Starts a relay that has to end with exit code 2 and one line of error that says all of `says`.
async fn check_refusal(command: RelayCommand<'_>, says: &[&str]) {
    let relay = command.start();
    let code = relay.exit_code().await;
    let log = relay.process().stderr().since(0);
    let errors: Vec<&String> = log.iter().filter(|line| is_error(line)).collect();
    assert_eq!(errors.len(), 1, "one line of error: {log:#?}");
    for text in says {
        assert!(errors[0].contains(text), "{text:?} is not in {}", errors[0]);
    }
    assert_eq!(code, CONFIGURATION, "{log:#?}");
}

fn is_error(line: &str) -> bool {
    line.contains(r#""level":"ERROR""#)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}
