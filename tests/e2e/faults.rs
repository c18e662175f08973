//! A fault inside of the plugin ends one session at most: not the server, and never the slot.

use std::time::SystemTime;

use pgevents_tests::dist;
use pgevents_tests::lab::{Lab, Process, RELAY_ROLE};
use rustix::process::Signal;

use crate::sequence::{Sequence, number_of};

/// Where the plugin can come to grief on purpose.
const PLACES: [&str; 10] = [
    "startup",
    "begin",
    "change",
    "truncate",
    "commit",
    "message",
    "origin",
    "send",
    "dictionary",
    "output",
];

/// Every place is reached, some many times; the last transaction fills several frames.
const CHANGES: &str = "CREATE TABLE items (id int PRIMARY KEY, at inet, t text);
    ALTER TABLE items REPLICA IDENTITY FULL;
    INSERT INTO items VALUES (1, '10.0.0.1', 'a'), (2, '10.0.0.2', 'b');
    UPDATE items SET at = '10.0.0.3';
    SELECT pg_logical_emit_message(true, 'pgevents:x', 'y');
    SELECT pg_logical_emit_message(false, 'pgevents:x', 'z');
    DELETE FROM items WHERE id = 1;
    TRUNCATE items;
    INSERT INTO items SELECT i, '10.0.0.4', 'x' FROM generate_series(1, 4000) i";

const OPTIONS: &str = "'messages', 'pgevents:', 'actions', 'insert,update,delete,truncate'";

/// A server whose plugin has the faults; a test of its own would see the server restart.
async fn lab_with_faults() -> Lab {
    let major = dist::Installation::find().expect("find PostgreSQL").major;
    let plugin = dist::built(dist::faulty_plugin(major)).unwrap_or_else(|error| panic!("{error}"));
    let folder = plugin.parent().expect("a file has a folder").display();
    let mut lab =
        Lab::with_own_postgres(&format!("dynamic_library_path = '{folder}:$libdir'")).await;
    lab.allow("on purpose at");
    lab
}

/// Frames in the slot, with their positions, as one hash.
async fn frames(lab: &Lab) -> String {
    let query = format!(
        "SELECT md5(string_agg(lsn::text || ' ' || encode(data, 'hex'), ',')) \
         FROM pg_logical_slot_peek_binary_changes('{}', NULL, NULL, {OPTIONS})",
        lab.name()
    );
    lab.row(&query).await.get(0)
}

/// When the server started and which process serves the test's connection.
async fn identity(lab: &Lab) -> (SystemTime, i32) {
    let row = lab
        .row("SELECT pg_postmaster_start_time(), pg_backend_pid()")
        .await;
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn a_fault_at_any_place_is_an_error_of_that_session_and_leaves_the_slot_as_it_was() {
    let lab = lab_with_faults().await;
    lab.create_slot().await;
    lab.sql(CHANGES).await;
    let server = identity(&lab).await;
    let clean = frames(&lab).await;
    let mut struck = 0;
    for place in PLACES {
        for nth in [1, 2, 3, 5, 50] {
            for kind in ["panic", "error"] {
                let fault = format!("{place}:{nth}:{kind}");
                lab.sql(&format!("SET pgevents.fault = '{fault}'")).await;
                let outcome = lab.attempt(&format!(
                    "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('{}', NULL, NULL, {OPTIONS})",
                    lab.name()
                ))
                .await;
                lab.sql("SET pgevents.fault = ''").await;
                assert_eq!(identity(&lab).await, server, "{fault}");
                assert_eq!(frames(&lab).await, clean, "after {fault}");
                match outcome {
                    Err(message) => {
                        assert!(message.contains("on purpose at"), "{fault}: {message}");
                        struck += 1;
                    }
                    // Few places are reached 50 times.
                    Ok(()) => assert!(nth > 1, "{fault} did nothing"),
                }
            }
        }
    }
    println!("{struck} faults were errors of their session");
    assert!(struck > 50, "only {struck} faults struck");
    lab.finish().await;
}

#[tokio::test]
async fn a_walsender_with_a_fault_ends_with_an_error_and_the_server_stays() {
    let lab = lab_with_faults().await;
    lab.create_slot().await;
    lab.sql(CHANGES).await;
    let server = identity(&lab).await;
    let clean = frames(&lab).await;
    for fault in ["change:3:panic", "send:2:error", "commit:1:panic"] {
        let mut reader = lab.postgres().program("pg_recvlogical", lab.name());
        reader
            .args(["--slot", lab.name(), "--start", "--no-loop"])
            .args(["-f", "/dev/null"])
            .env("PGOPTIONS", format!("-c pgevents.fault={fault}"));
        let reader = Process::start("pg_recvlogical", &mut reader, Signal::KILL)
            .expect("start pg_recvlogical");
        let status = reader.exit().await.expect("pg_recvlogical ends");
        assert!(!status.success(), "{status}");
        let said = reader.stderr().since(0).join("\n");
        assert!(said.contains(&format!("on purpose at {fault}")), "{said}");
        lab.slot_is_free().await;
        assert_eq!(identity(&lab).await, server, "{fault}");
        assert_eq!(frames(&lab).await, clean, "after {fault}");
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_relay_outlives_faults_of_the_plugin_and_loses_nothing() {
    let mut lab = lab_with_faults().await;
    // The server may see the end of the failed session later than the relay.
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("is active for PID");
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql(CHANGES).await;
    lab.sql(&format!(
        "ALTER ROLE {RELAY_ROLE} SET pgevents.fault = 'change:50:panic'"
    ))
    .await;
    let server = identity(&lab).await;
    let relay = lab.producer().start();
    relay.logs("on purpose at change:50:panic").await;
    lab.sql(&format!("ALTER ROLE {RELAY_ROLE} RESET ALL")).await;
    let mut last = 0;
    queue
        .until(|event| {
            last = event.json()["new"]["id"].as_u64().unwrap_or(last);
            last == 4_000
        })
        .await;
    assert_eq!(identity(&lab).await, server);
    lab.finish().await;
}

/// What the relay says of a frame that it cannot read is its last word, and the slot stays before
/// it.
#[tokio::test]
async fn a_damaged_frame_ends_the_relay_and_nothing_in_or_behind_it_is_lost() {
    const ROWS: u64 = 20_000;
    let mut lab = lab_with_faults().await;
    lab.allow("decode the frame after");
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql("CREATE TABLE orders (id bigint PRIMARY KEY)").await;
    lab.sql("ALTER TABLE orders REPLICA IDENTITY FULL").await;
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN 0..3 LOOP
           INSERT INTO orders SELECT generate_series(i * {ROWS} / 4 + 1, (i + 1) * {ROWS} / 4);
           COMMIT;
         END LOOP; END $$"
    ))
    .await;
    let fault = "frame:3:damage";
    lab.sql(&format!(
        "ALTER ROLE {RELAY_ROLE} SET pgevents.fault = '{fault}'"
    ))
    .await;
    assert_eq!(lab.producer().start().exit_code().await, 23);
    lab.sql(&format!("ALTER ROLE {RELAY_ROLE} RESET ALL")).await;
    lab.slot_is_free().await;
    lab.producer().start();
    let mut sequence = Sequence::default();
    queue
        .until(|event| {
            sequence.take(&event);
            number_of(&event) == ROWS
        })
        .await;
    lab.finish().await;
}
