//! The memory of a walsender over any number of changes.

use std::time::Instant;

use anyhow::bail;
use pgevents_tests::{
    lab::Lab,
    walsender_memory::{self, Growth, Size},
};

use pgevents_dev::progress::GOOD;

/// Bytes that the memory may grow by.
const NOISE: u64 = 1024 * 1024;

/// Streams that many changes and prints how the walsender's memory grew.
///
/// # Errors
///
/// When it grew by more than chance.
pub fn run(size: Size) -> anyhow::Result<()> {
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new()?;
    let [rows, tables] = runtime.block_on(async {
        let lab = Lab::without_slot().await;
        let growth = walsender_memory::run(&lab, size).await;
        lab.finish().await;
        growth
    });
    let took = started.elapsed().as_secs_f32();
    let Size {
        changes,
        tables: count,
        rounds,
    } = size;
    anstream::println!("{GOOD}walsender, anonymous memory, in {took:.0} s{GOOD:#}");
    print(&format!("{changes} changes of rows"), rows);
    print(&format!("{rounds} rounds over {count} tables"), tables);
    if rows.bytes().max(tables.bytes()) > NOISE {
        bail!("the walsender's memory grows");
    }
    Ok(())
}

fn print(what: &str, growth: Growth) {
    let [before, after] = [growth.before, growth.after].map(|bytes| bytes / 1024);
    println!("  {what:<40} {before} KiB in the first quarter, {after} KiB in the last");
}
