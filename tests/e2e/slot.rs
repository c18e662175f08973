//! `pgevents slot`: what an operator does with a slot, and what must not happen to it.

use pgevents_tests::lab::{Lab, Relay, RelayCommand};
use serde_json::Value;

/// Exit codes of the command.
const CONFIGURATION: i32 = 2;
const SLOT_MISSING: i32 = 10;
const SLOT_LOST: i32 = 11;

/// Runs a command to its end, expects the exit code, and returns what it said.
async fn check(command: RelayCommand<'_>, code: i32, says: &str) -> Relay {
    let command = command.start();
    let ended = command.exit_code().await;
    let (output, log) = (command.process().stdout(), command.process().stderr());
    let said = [output.since(0), log.since(0)].concat().join("\n");
    assert_eq!(ended, code, "exit code; said:\n{said}");
    assert!(said.contains(says), "{says:?} is not in {said}");
    command
}

async fn status(lab: &Lab) -> Value {
    let command = lab.command("slot status").flags("--json --sample 0");
    let shown = check(command, 0, "").await;
    let text = shown.process().stdout().since(0).join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[tokio::test]
async fn a_slot_is_made_shown_and_dropped() {
    let mut lab = Lab::without_slot().await;
    lab.allow("stop its relay first");
    lab.allow("exists already");
    lab.allow("answer with its name, or use --yes");
    lab.allow("does not exist: check PGSLOT");
    check(lab.command("slot status"), SLOT_MISSING, "does not exist").await;
    check(lab.command("slot create"), 0, "holds changes from").await;
    check(lab.command("slot create"), CONFIGURATION, "exists already").await;
    let found = status(&lab).await;
    assert_eq!(found["plugin"], "pgevents");
    assert_eq!(found["database"], lab.name());
    assert_eq!(found["wal_status"], "reserved");
    assert!(found["retained_wal_bytes"].is_u64(), "{found}");
    assert!(found["safe_wal_bytes"].is_null(), "{found}");

    let _queue = lab.queue().await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    assert!(status(&lab).await["active_pid"].is_u64());
    let drop = lab.command("slot drop").flags("--yes");
    check(drop, CONFIGURATION, "stop its relay first").await;
    relay.stop().await;
    lab.slot_is_free().await;

    // Standard input is no terminal here, so nobody can answer.
    check(lab.command("slot drop"), CONFIGURATION, "--yes").await;
    let drop = lab.command("slot drop").flags("--yes");
    check(drop, 0, "dropped").await;
    check(lab.command("slot status"), SLOT_MISSING, "does not exist").await;
    lab.finish().await;
}

#[tokio::test]
async fn the_slot_of_another_program_is_left_alone() {
    let mut lab = Lab::without_slot().await;
    lab.allow("and was left alone");
    let name = lab.name();
    lab.row(&format!(
        "SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"
    ))
    .await;
    let drop = lab.command("slot drop").flags("--yes");
    check(drop, CONFIGURATION, "test_decoding").await;
    let left =
        lab.row("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()");
    assert_eq!(left.await.get::<_, i64>(0), 1);
    lab.finish().await;
}

#[tokio::test]
async fn status_says_how_much_wal_a_slot_may_still_need_and_that_it_is_lost() {
    let mut lab = Lab::with_own_postgres("max_slot_wal_keep_size = 1MB").await;
    lab.allow("is lost, changes are missing");
    lab.create_slot().await;
    let text = lab.command("slot status").flags("--sample 1");
    check(text, 0, "lost after").await;
    assert!(status(&lab).await["safe_wal_bytes"].is_u64());
    lab.sql("CREATE TABLE filler (bytes text)").await;
    for _ in 0..3 {
        lab.sql("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
            .await;
        lab.row("SELECT pg_switch_wal()").await;
        lab.sql("CHECKPOINT").await;
    }
    let lost = lab.command("slot status").flags("--sample 0");
    check(lost, SLOT_LOST, "wal_status    lost").await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_outlives_a_failover_where_the_server_can_do_that() {
    let mut lab = Lab::without_slot().await;
    lab.allow("leave out --failover");
    lab.allow("failover => boolean");
    lab.allow("does not exist: check PGSLOT");
    let create = lab.command("slot create").flags("--failover");
    if lab.postgres().installation().major < 17 {
        check(create, CONFIGURATION, "leave out --failover").await;
        check(lab.command("slot status"), SLOT_MISSING, "does not exist").await;
    } else {
        check(create, 0, "holds changes from").await;
        assert_eq!(status(&lab).await["failover"], true);
    }
    lab.finish().await;
}
