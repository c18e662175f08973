//! Rows near the limits of PostgreSQL, and less memory than they take.

use std::path::Path;

use pgevents_tests::lab::{Lab, memory_bytes};

/// The most that can be asked for.
const ALL: &str = "'max-value-bytes', '536870912'";

/// Length of each event of the lab's slot, and the event itself if it is short.
async fn shown(lab: &Lab) -> Vec<(i32, Option<String>)> {
    let query = format!(
        "SELECT length(data), CASE WHEN length(data) < 1000 THEN data END
           FROM pg_logical_slot_get_changes('{}', NULL, NULL, 'format', 'json', {ALL})",
        lab.name()
    );
    let rows = lab.rows(&query).await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_row_of_900_mb_is_shown_with_markers_and_the_next_row_flows() {
    let lab = Lab::without_slot().await;
    lab.sql(
        "CREATE TABLE archive (id int PRIMARY KEY, a text, b text, c text);
         ALTER TABLE archive REPLICA IDENTITY FULL",
    )
    .await;
    lab.create_slot().await;
    lab.sql(
        "INSERT INTO archive SELECT 1, x, x, x FROM repeat('x', 300000000) x;
         UPDATE archive SET id = 2; DELETE FROM archive; INSERT INTO archive VALUES (3)",
    )
    .await;
    let frames = lab
        .row(&format!(
            "SELECT max(length(data)) FROM pg_logical_slot_peek_binary_changes('{}', NULL, NULL, {ALL})",
            lab.name()
        ))
        .await;
    let largest: i32 = frames.get(0);
    assert!(largest > 300_000_000, "one value fits, {largest} bytes");
    let marker = r#"{"pgevents_omitted":"too_large","bytes":300000000}"#;
    let row = |id: u32| format!(r#"{{"id":{id},"a":{marker},"b":{marker},"c":{marker}}}"#);
    let [first, second] = [row(1), row(2)];
    let events = shown(&lab).await;
    let short: Vec<Option<&str>> = events.iter().map(|event| event.1.as_deref()).collect();
    assert_eq!(
        short,
        [
            Some(format!(r#"{{"table_name":"public.archive","old":{{}},"new":{first},"id":1,"diff":{first},"action":"I"}}"#).as_str()),
            Some(&format!(r#"{{"table_name":"public.archive","old":{first},"new":{second},"id":2,"diff":{{"id":2}},"action":"U"}}"#)),
            // Only once in the event: it fits.
            None,
            Some(r#"{"table_name":"public.archive","old":{},"new":{"id":3,"a":null,"b":null,"c":null},"id":3,"diff":{"id":3},"action":"I"}"#),
        ]
    );
    assert!(events[2].0 > 300_000_000, "{} bytes", events[2].0);
    lab.finish().await;
}

#[tokio::test]
async fn values_that_grow_when_they_are_printed_stay_below_the_limit_of_a_row() {
    /// Elements of an array, one byte each, five in JSON.
    const ELEMENTS: u32 = 13_000_000;
    let lab = Lab::without_slot().await;
    let columns: Vec<String> = (0..18).map(|i| format!("c{i} bool[]")).collect();
    lab.sql(&format!(
        "CREATE TABLE flags (id int PRIMARY KEY, {}); ALTER TABLE flags REPLICA IDENTITY FULL",
        columns.join(", ")
    ))
    .await;
    lab.create_slot().await;
    let values = vec!["flags"; columns.len()].join(", ");
    lab.sql(&format!(
        "INSERT INTO flags SELECT 1, {values} FROM array_fill(true, ARRAY[{ELEMENTS}]) flags;
         INSERT INTO flags VALUES (2)"
    ))
    .await;
    // 18 times 65 MB is more than any message may have.
    let frames = lab
        .row(&format!(
            "SELECT count(*), max(length(data)) FROM
               pg_logical_slot_peek_binary_changes('{}', NULL, NULL)",
            lab.name()
        ))
        .await;
    let (frames, largest): (i64, i32) = (frames.get(0), frames.get(1));
    assert_eq!(frames, 2, "the second row came");
    assert!(
        (400_000_000..600_000_000).contains(&largest),
        "as many as fit, {largest} bytes"
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_server_process_short_of_memory_ends_the_reading_and_not_the_server() {
    const STEP: u64 = 12 << 20;
    let mut lab = Lab::without_slot().await;
    lab.allow("out of memory");
    lab.sql(
        "CREATE TABLE archive (id int PRIMARY KEY, a text, b text, c text);
         ALTER TABLE archive REPLICA IDENTITY FULL",
    )
    .await;
    lab.create_slot().await;
    lab.sql(
        "INSERT INTO archive SELECT 1, x, x, x FROM repeat('x', 8000000) x;
         UPDATE archive SET a = a || 'y', b = b || 'y', c = c || 'y'",
    )
    .await;
    for (format, function) in [("json", "changes"), ("binary", "binary_changes")] {
        let query = format!(
            "SELECT sum(length(data)) FROM
               pg_logical_slot_peek_{function}('{}', NULL, NULL, 'format', '{format}', {ALL})",
            lab.name()
        );
        // A new process has no memory of former work to fall back on.
        lab.reconnect().await;
        let process: i32 = lab.row("SELECT pg_backend_pid()").await.get(0);
        let mut refused = 0;
        let mut memory = memory_bytes(process, "VmSize").expect("it runs");
        loop {
            limit_memory(&lab, process, &memory.to_string());
            // A connection that breaks fails the test.
            let outcome = lab.attempt(&query).await;
            limit_memory(&lab, process, "unlimited");
            match outcome {
                Ok(()) => break,
                Err(refusal) => assert!(refusal.contains("out of memory"), "{refusal}"),
            }
            refused += 1;
            memory += STEP;
        }
        println!("{format}: {refused} limits were too low");
        assert!(refused > 2, "{refused} limits were too low");
    }
    lab.finish().await;
}

/// Limits the address space of a server process, in bytes; only the server's own account may.
fn limit_memory(lab: &Lab, process: i32, bytes: &str) {
    let mut prlimit = lab.postgres().command(Path::new("prlimit"));
    prlimit.args(["--pid", &process.to_string(), &format!("--as={bytes}:")]);
    let status = prlimit.status().expect("run prlimit");
    assert!(status.success(), "limit the memory of a process: {status}");
}
