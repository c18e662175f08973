use pgevents_tests::compose::{Moment, Row, Stack};
use serde_json::Value;

/// The README's two lines: a command, and what is typed into it.
fn readme() -> (&'static str, &'static str) {
    let mut lines = include_str!("../../README.md").lines();
    let command = lines.find(|line| line.starts_with("PGPASSWORD=postgres psql"));
    let typed = lines.next();
    command.zip(typed).expect("the README has both")
}

fn row(id: u32) -> Row {
    Row {
        id,
        full_name: "Peter Lindgren",
    }
}

/// The `id` of every insert in the lines that `event_logger` printed, in order.
fn ids(lines: &[String]) -> Vec<u64> {
    let events = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| event["id"].as_u64()).collect()
}

#[tokio::test]
async fn the_readme_s_insert_appears_in_the_terminal_and_so_do_ten_thousand() {
    let stack = Stack::new("readme");
    let up = stack.up().await;
    let (command, insert) = readme();
    stack.type_into(command, insert);
    let exact = r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael Åkerfeldt"},"id":1,"diff":{"id":1,"full_name":"Mikael Åkerfeldt"},"action":"I"}"#;
    up.line("the README's event", |line| line.ends_with(exact))
        .await;
    let logged = up.logged();
    let place = logged.iter().position(|line| line == exact);
    let place = place.expect("the line was just seen");
    assert_eq!(logged[place - 1], "routing_key public.users");

    stack.psql("insert into users select n, 'row ' || n from generate_series(2, 10000) n");
    up.line("the last of 10,000 events", |line| {
        line.contains(r#""id":10000,"#)
    })
    .await;
    assert_eq!(ids(&up.logged()), (1..=10_000).collect::<Vec<u64>>());

    // Ctrl-C, and later the same command again: rows, slot and queue are still there.
    up.interrupt().await;
    assert_eq!(stack.container("producer").inspect(".State.ExitCode"), "0");
    stack.down();
    let up = stack.up().await;
    stack.insert(&row(10_001));
    up.line("the event after a second start", |line| {
        line.contains(r#""id":10001,"#)
    })
    .await;
    assert_eq!(
        ids(&up.logged()),
        [10_001],
        "nothing is sent twice after a clean stop"
    );
    up.interrupt().await;
}

#[tokio::test]
async fn every_container_comes_back_after_a_crash_and_no_event_is_lost() {
    let stack = Stack::new("crash");
    stack.up_detached().await;
    stack.insert(&row(1));
    stack.logged(&row(1)).await;
    let services = ["producer", "event_logger", "rabbitmq", "database"];
    for (id, service) in (2..).zip(services) {
        stack.crash(service).await;
        stack.insert(&row(id));
        stack.logged(&row(id)).await;
        let restarts = stack.container(service).inspect(".RestartCount");
        assert_ne!(restarts, "0", "{service} was restarted by its policy");
    }
    let mut seen = ids(&stack.container("event_logger").stdout());
    // At least once: a crash between printing and acknowledging repeats an event.
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_second_producer_waits_as_standby_and_takes_over() {
    let stack = Stack::new("standby");
    stack.up_detached().await;
    let first = stack.container("producer");
    let before = Moment::now();
    stack.scale_producer(2);
    let both = stack.containers("producer");
    let [second] = both.iter().filter(|c| **c != first).collect::<Vec<_>>()[..] else {
        panic!("two producers");
    };
    second
        .line("wait for the slot", |line| {
            line.contains("waiting until it is free")
        })
        .await;
    second.healthy(before).await;
    stack.insert(&row(1));
    stack.logged(&row(1)).await;

    first.kill();
    stack.insert(&row(2));
    second
        .line("takeover", |line| line.contains("streaming"))
        .await;
    stack.logged(&row(2)).await;

    // The first one comes back and is now the standby.
    first.start();
    first
        .line("wait for the slot", |line| {
            line.contains("waiting until it is free")
        })
        .await;
    assert_eq!(second.stop(), "0", "a stop by the engine is a clean end");
    stack.insert(&row(3));
    stack.logged(&row(3)).await;
}
