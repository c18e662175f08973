//! The walsender's memory does not grow with what it has sent.

use pgevents_tests::{
    lab::Lab,
    walsender_memory::{self, Size},
};

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
