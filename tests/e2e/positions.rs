//! The state file: the relay goes on exactly where it was, and never without a word where changes
//! may be missing.

use std::fs;
use std::path::PathBuf;

use pgevents_proto::Lsn;
use pgevents_tests::lab::{Lab, Process, RelayCommand};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::sequence::{Sequence, number_of};

/// Exit codes of the relay.
const CONFIGURATION: i32 = 2;
const SLOT_MISSING: i32 = 10;
const SLOT_MOVED: i32 = 12;

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY);
    ALTER TABLE orders REPLICA IDENTITY FULL";

/// A state file in a folder of its own.
struct State {
    folder: TempDir,
}

impl State {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("make a folder");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("read the state file")
    }

    fn acknowledged(&self) -> Lsn {
        let text = self.text();
        let line = text.lines().find_map(|l| l.strip_prefix("acknowledged "));
        let position = line.and_then(|text| text.parse().ok());
        position.unwrap_or_else(|| panic!("no position in {text}"))
    }

    fn relay<'lab>(&self, lab: &'lab Lab) -> RelayCommand<'lab> {
        let path = self.path();
        lab.producer().env(
            "PGEVENTS_STATE_FILE",
            path.to_str().expect("the path is text"),
        )
    }
}

/// Starts a relay that must end with this code and one error line that holds all of `says`.
async fn ends(relay: RelayCommand<'_>, code: i32, says: &[&str]) {
    let relay = relay.start();
    let ended = relay.exit_code().await;
    let log = relay.process().stderr().since(0);
    let errors: Vec<&String> = log.iter().filter(|l| l.contains("\"ERROR\"")).collect();
    assert_eq!(errors.len(), 1, "one error line: {log:#?}");
    for text in says {
        assert!(errors[0].contains(text), "{text:?} is not in {}", errors[0]);
    }
    assert_eq!(ended, code, "exit code: {}", errors[0]);
}

async fn insert(lab: &Lab, id: u64) {
    lab.sql(&format!("INSERT INTO orders VALUES ({id})")).await;
}

#[tokio::test]
async fn a_server_that_crashed_or_was_restored_is_resumed_exactly_or_not_at_all() {
    let mut lab = Lab::with_own_postgres("").await;
    let state = State::new();
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = state.relay(&lab).start();
    for id in 1..=50 {
        insert(&lab, id).await;
    }
    queue.take(50).await;
    relay.stop().await;
    // Nothing has written the slot to the disk since it was made.
    lab.own_postgres().kill().await.expect("kill the server");
    lab.own_postgres().run().await.expect("start it again");
    lab.reconnect().await;
    assert!(
        lab.acknowledged().await < state.acknowledged(),
        "the slot went back"
    );
    let relay = state.relay(&lab).start();
    insert(&lab, 51).await;
    assert_eq!(number_of(&queue.next().await), 51, "nothing is repeated");
    relay.stop().await;

    lab.allow("terminating connection due to administrator command");
    lab.allow("is on timeline 2 and was on 1");
    lab.own_postgres().stop().await.expect("stop the server");
    lab.postgres().restore().expect("ask for a new timeline");
    lab.own_postgres().run().await.expect("start it again");
    lab.reconnect().await;
    let before = state.text();
    ends(
        state.relay(&lab),
        SLOT_MOVED,
        &["timeline 2", "--accept-gap"],
    )
    .await;
    assert_eq!(state.text(), before, "nothing is changed");
    let relay = state.relay(&lab).flags("--accept-gap").start();
    relay.logs("accepted, going on at").await;
    insert(&lab, 52).await;
    queue.until(|event| number_of(&event) == 52).await;
    relay.stop().await;
    state.relay(&lab).start().logs("streaming").await;
    lab.finish().await;
}

#[tokio::test]
async fn a_server_that_was_set_back_and_written_on_is_found_out_and_nothing_of_it_is_lost() {
    let mut lab = Lab::with_own_postgres("").await;
    lab.allow("terminating connection due to administrator command");
    lab.allow("set back");
    let state = State::new();
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let write = async |lab: &Lab, ids: std::ops::RangeInclusive<u64>| {
        let (first, last) = (ids.start(), ids.end());
        lab.sql(&format!(
            "DO $$ BEGIN FOR id IN {first}..{last} BY 100 LOOP
               INSERT INTO orders SELECT generate_series(id, id + 99); COMMIT;
             END LOOP; END $$"
        ))
        .await;
    };
    let relay = state.relay(&lab).start();
    write(&lab, 1..=100).await;
    queue.take(100).await;
    relay.stop().await;
    lab.own_postgres().stop().await.expect("stop the server");
    lab.postgres().copy_disk().expect("copy its disk");
    lab.own_postgres().run().await.expect("start it again");
    lab.reconnect().await;
    let relay = state.relay(&lab).start();
    write(&lab, 101..=1_100).await;
    queue.take(1_000).await;
    relay.stop().await;

    lab.own_postgres().stop().await.expect("stop the server");
    lab.postgres().set_back().expect("put the copy back");
    lab.own_postgres().run().await.expect("start it again");
    lab.reconnect().await;
    write(&lab, 5_001..=9_000).await;
    let end: String = lab.row("SELECT pg_current_wal_lsn()::text").await.get(0);
    let end: Lsn = end.parse().expect("a position");
    assert!(end > state.acknowledged(), "the new history is longer");
    let (before, stood) = (state.text(), lab.acknowledged().await);
    let says = [
        "set back",
        "--accept-gap",
        &state.acknowledged().to_string(),
    ];
    ends(state.relay(&lab), SLOT_MOVED, &says).await;
    lab.slot_is_free().await;
    assert_eq!(state.text(), before, "nothing is changed");
    assert_eq!(lab.acknowledged().await, stood, "nothing is acknowledged");

    let flags = "--accept-gap --gap-record";
    let relay = state.relay(&lab).flags(flags).start();
    let gap = queue.next().await;
    assert_eq!((&*gap.routing_key, &*gap.kind), ("pgevents.gap", "gap"));
    assert_eq!(gap.json()["reason"], "rewound");
    // From where the slot stands, which is before the first hundred.
    let mut ids = Vec::new();
    queue
        .until(|event| {
            ids.push(number_of(&event));
            ids.last() == Some(&9_000)
        })
        .await;
    let new: Vec<u64> = (1..=100).chain(5_001..=9_000).collect();
    assert_eq!(ids, new);
    relay.stop().await;
    state.relay(&lab).start().logs("streaming").await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_that_was_moved_ends_the_relay_with_what_is_missing_and_consumers_can_be_told() {
    let mut lab = Lab::start().await;
    lab.allow("past");
    let state = State::new();
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = state.relay(&lab).start();
    insert(&lab, 1).await;
    assert_eq!(number_of(&queue.next().await), 1);
    relay.stop().await;
    let from = state.acknowledged();
    insert(&lab, 2).await;
    let name = lab.name().to_owned();
    lab.row(&format!(
        "SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())"
    ))
    .await;
    let to = lab.acknowledged().await;
    let range = [from.to_string(), to.to_string()];
    ends(
        state.relay(&lab),
        SLOT_MOVED,
        &[&range[0], &range[1], "bytes of WAL"],
    )
    .await;
    assert_eq!(state.acknowledged(), from, "nothing is changed");

    insert(&lab, 3).await;
    let relay = state.relay(&lab).flags("--accept-gap --gap-record").start();
    let record = queue.next().await;
    assert_eq!(record.routing_key, "pgevents.gap");
    assert_eq!(record.kind, "gap");
    let json = record.json();
    assert_eq!(json["slot"], name);
    assert_eq!(json["reason"], "moved");
    assert_eq!(json["from"]["lsn"], range[0]);
    assert_eq!(json["to"]["lsn"], range[1]);
    assert!(
        json["time"]
            .as_str()
            .is_some_and(|time| time.starts_with("20")),
        "{json}"
    );
    assert_eq!(
        number_of(&queue.next().await),
        3,
        "the record comes before the first event"
    );
    relay.stop().await;
    let relay = state.relay(&lab).start();
    insert(&lab, 4).await;
    assert_eq!(number_of(&queue.next().await), 4, "an accepted gap is over");
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_gap_is_not_over_before_its_record_has_arrived() {
    let mut lab = Lab::start().await;
    lab.allow("past");
    lab.allow("no queue of the exchange takes it");
    let state = State::new();
    let relay = state.relay(&lab).start();
    relay.logs("streaming").await;
    relay.stop().await;
    lab.sql(TABLE).await;
    let name = lab.name().to_owned();
    lab.row(&format!(
        "SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())"
    ))
    .await;
    // No queue is bound, so the record comes back.
    let flags = "--accept-gap --gap-record";
    let relay = state.relay(&lab).flags(flags).start();
    relay.logs("no queue of the exchange takes it").await;
    relay.kill().await;
    lab.slot_is_free().await;
    ends(state.relay(&lab), SLOT_MOVED, &["past"]).await;
    let mut queue = lab.queue().await;
    let relay = state.relay(&lab).flags(flags).start();
    assert_eq!(queue.next().await.routing_key, "pgevents.gap");
    insert(&lab, 1).await;
    assert_eq!(number_of(&queue.next().await), 1);
    relay.stop().await;
    state.relay(&lab).start().logs("streaming").await;
    lab.finish().await;
}

#[tokio::test]
async fn a_slot_that_was_made_anew_is_noticed_by_a_new_relay_and_by_one_that_lives() {
    let mut lab = Lab::start().await;
    // Its session may end by itself before it is ended.
    lab.allow("is not a PostgreSQL backend process");
    lab.allow("terminating connection due to administrator command");
    lab.allow("made anew");
    lab.allow("existed and is gone");
    let state = State::new();
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let name = lab.name().to_owned();
    let relay = state.relay(&lab).start();
    insert(&lab, 1).await;
    queue.next().await;
    relay.stop().await;
    lab.row(&format!("SELECT pg_drop_replication_slot('{name}')"))
        .await;
    ends(
        state.relay(&lab),
        SLOT_MISSING,
        &["existed and is gone", "--accept-gap"],
    )
    .await;
    lab.create_slot().await;
    ends(state.relay(&lab), SLOT_MOVED, &["made anew"]).await;

    lab.row(&format!("SELECT pg_drop_replication_slot('{name}')"))
        .await;
    let relay = state.relay(&lab).flags("--accept-gap").start();
    relay.logs("streaming").await;
    insert(&lab, 2).await;
    assert_eq!(
        number_of(&queue.next().await),
        2,
        "the slot was made, the gap accepted"
    );
    relay.stop().await;

    // Without a state file, a relay that lives knows as well.
    let relay = lab.producer().start();
    insert(&lab, 3).await;
    assert_eq!(number_of(&queue.next().await), 3);
    lab.sql(&format!(
        "DO $$ BEGIN LOOP
           BEGIN
             PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots
               WHERE slot_name = '{name}' AND active;
             PERFORM pg_drop_replication_slot('{name}');
             PERFORM pg_create_logical_replication_slot('{name}', 'pgevents');
             RETURN;
           EXCEPTION WHEN object_in_use THEN NULL;
           END;
         END LOOP; END $$"
    ))
    .await;
    assert_eq!(relay.exit_code().await, SLOT_MOVED);
    lab.finish().await;
}

#[tokio::test]
async fn another_system_under_the_same_address_is_refused() {
    let state = State::new();
    let first = Lab::start().await;
    let relay = state.relay(&first).start();
    relay.logs("streaming").await;
    relay.stop().await;
    let mut second = Lab::with_own_postgres("").await;
    second.allow("PostgreSQL is another system");
    let name = first.name();
    second.sql(&format!("CREATE DATABASE {name}")).await;
    let relay = state
        .relay(&second)
        .env("PGDATABASE", name)
        .env("PGSLOT", name);
    ends(relay, SLOT_MOVED, &["another system", "--accept-gap"]).await;
    first.finish().await;
    second.finish().await;
}

#[tokio::test]
async fn a_state_file_that_cannot_be_used_is_named_and_nothing_is_changed() {
    let mut lab = Lab::without_slot().await;
    lab.allow("is damaged");
    lab.allow("read the state file");
    lab.allow("write the state file");
    lab.allow("belongs to slot");
    let state = State::new();
    let path = state.path();
    let missing = path.join("no/folder/state");
    let relay = lab
        .producer()
        .flag("--state-file", missing.to_str().expect("text"));
    ends(
        relay,
        CONFIGURATION,
        &["state file", "rights of its folder"],
    )
    .await;
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
    assert_eq!(lab.row(slots).await.get::<_, i64>(0), 0, "no slot is made");
    let relay = state.relay(&lab).start();
    relay.logs("streaming").await;
    relay.stop().await;
    let before = lab.acknowledged().await;
    lab.sql(TABLE).await;

    let whole = state.text();
    fs::write(&path, &whole[..whole.len() / 2]).expect("cut the file");
    ends(
        state.relay(&lab),
        CONFIGURATION,
        &["is damaged", "remove it"],
    )
    .await;
    fs::write(&path, whole.replace("timeline 1", "timeline 2")).expect("change the file");
    ends(state.relay(&lab), CONFIGURATION, &["is damaged", "check"]).await;
    fs::write(&path, &whole).expect("put it back");
    let other = state.relay(&lab).env("PGSLOT", "another_slot");
    ends(other, CONFIGURATION, &["belongs to slot", lab.name()]).await;
    fs::remove_file(&path).expect("remove the file");
    fs::create_dir(&path).expect("make a folder in its place");
    ends(state.relay(&lab), CONFIGURATION, &["read the state file"]).await;
    assert_eq!(lab.acknowledged().await, before, "nothing was acknowledged");
    assert_eq!(lab.row(slots).await.get::<_, i64>(0), 1, "no slot was made");
    lab.finish().await;
}

#[tokio::test]
async fn a_full_disk_stops_acknowledgements_and_the_relay_goes_on_when_there_is_room() {
    let mut lab = Lab::start().await;
    lab.allow("write the state file");
    let state = State::new();
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let relay = state.relay(&lab).start();
    insert(&lab, 1).await;
    assert_eq!(number_of(&queue.next().await), 1);
    // What is written there fails as on a full disk. The relay removes what it could not finish,
    // and finds room the next time.
    std::os::unix::fs::symlink("/dev/full", state.path().with_extension("new"))
        .expect("fill the disk");
    insert(&lab, 2).await;
    let line = relay.logs("write the state file").await;
    assert!(line.contains("No space left on device"), "{line}");
    insert(&lab, 3).await;
    queue.until(|event| number_of(&event) == 3).await;
    relay.stop().await;
    assert!(lab.acknowledged().await <= state.acknowledged());
    lab.finish().await;
}

#[tokio::test]
async fn a_killed_relay_has_never_acknowledged_more_than_its_file_says() {
    const ROWS: u64 = 20_000;
    let mut lab = Lab::start().await;
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("is active for PID");
    let state = State::new();
    let mut queue = lab.quorum_queue().await;
    lab.sql(TABLE).await;
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN 1..{ROWS} LOOP INSERT INTO orders VALUES (i); COMMIT; END LOOP; END $$"
    ))
    .await;
    let mut sequence = Sequence::default();
    for _ in 0..8 {
        let relay = state.relay(&lab).start();
        let goal = sequence.last + fastrand::u64(1..2_000);
        queue
            .until(|event| {
                sequence.take(&event);
                sequence.last >= goal
            })
            .await;
        relay.kill().await;
        lab.slot_is_free().await;
        let (slot, file) = (lab.acknowledged().await, state.acknowledged());
        assert!(
            slot <= file,
            "the slot stands at {slot}, the file says {file}"
        );
    }
    state.relay(&lab).start();
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == ROWS
        })
        .await;
    lab.finish().await;
}

/// Somebody who is no relay has the slot while the relay waits for it: what they read is missing.
#[tokio::test]
async fn what_another_program_reads_while_the_relay_waits_is_a_gap() {
    let mut lab = Lab::start().await;
    lab.allow("slot is in use: waiting until it is free");
    lab.allow("may be missing");
    let mut queue = lab.queue().await;
    lab.sql(TABLE).await;
    let state = State::new();
    let relay = state.relay(&lab).start();
    insert(&lab, 1).await;
    queue.take(1).await;
    relay.stop().await;
    let mut reader = lab.postgres().program("pg_recvlogical", lab.name());
    reader.args(["--start", "--slot", lab.name(), "--file", "/dev/null"]);
    reader.args([
        "--no-loop",
        "--status-interval",
        "1",
        "--fsync-interval",
        "1",
    ]);
    let reader = Process::start("pg_recvlogical", &mut reader, Signal::INT).expect("start it");
    lab.slot_is_taken().await;
    let relay = state.relay(&lab).start();
    relay.logs("slot is in use").await;
    insert(&lab, 2).await;
    lab.everything_is_acknowledged().await;
    reader.signal(Signal::INT);
    let ended = relay.exit_code().await;
    let log = relay.process().stderr().tail(2);
    assert_eq!(ended, SLOT_MOVED, "{log}");
    assert!(log.contains("may be missing"), "{log}");
    lab.finish().await;
}
