//! The walsender's memory does not grow with what it has sent, nor does its reader's have to.

use pgevents_proto::{Decoder, v1::Frame};
use pgevents_tests::{
    lab::Lab,
    walsender_memory::{self, Size},
};
use prost::Message as _;

/// Bytes that the memory may grow by; a byte lost for each change would already be seen.
const NOISE: u64 = 256 * 1024;

#[tokio::test]
async fn the_memory_of_a_walsender_is_flat_over_changes_of_rows_and_of_tables() {
    let lab = Lab::without_slot().await;
    let size = Size {
        changes: 400_000,
        tables: 40,
        rounds: 24,
    };
    let [rows, tables] = walsender_memory::run(&lab, size).await;
    println!("rows: {rows:?}, tables: {tables:?}");
    for growth in [rows, tables] {
        assert!(growth.bytes() <= NOISE, "{growth:?}");
    }
    lab.finish().await;
}

#[tokio::test]
async fn the_memory_of_a_walsender_is_flat_over_messages_that_nobody_wants() {
    let lab = Lab::with_encoding("LATIN1").await;
    let growth = walsender_memory::unwanted_messages(&lab, 400_000).await;
    assert!(growth.bytes() <= NOISE, "{growth:?}");
    lab.finish().await;
}

#[tokio::test]
async fn a_reader_is_told_which_tables_it_can_forget() {
    const TABLES: usize = 1_000;
    let lab = Lab::without_slot().await;
    lab.create_slot().await;
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN 1..{TABLES} LOOP
           EXECUTE format('CREATE TABLE gone_%s (id int)', i);
           EXECUTE format('INSERT INTO gone_%s VALUES (1)', i);
           EXECUTE format('DROP TABLE gone_%s', i);
           COMMIT;
         END LOOP; END $$"
    ))
    .await;
    let client = lab.postgres().connect(lab.name()).await.expect("connect");
    let query = "SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, \
                 'protocol-version', '2')";
    let frames = client.query(query, &[&lab.name()]).await.expect("read");
    let mut decoder = Decoder::new();
    let (mut told, mut forgotten) = (0, Vec::new());
    for frame in &frames {
        let bytes: &[u8] = frame.get(0);
        let mut events = decoder.frame(bytes);
        while events.next().expect("no forgotten table is used").is_some() {}
        for relation in Frame::decode(bytes).expect("decode a frame").relations {
            told += 1;
            assert!(relation.forgotten_ids.iter().all(|&id| id < relation.id));
            forgotten.extend(relation.forgotten_ids);
        }
    }
    let ids = forgotten.len();
    forgotten.sort_unstable();
    forgotten.dedup();
    assert_eq!((told, ids), (TABLES, forgotten.len()), "each one once");
    assert!(told - ids < 300, "{ids} of {told} tables are forgotten");
    lab.finish().await;
}
