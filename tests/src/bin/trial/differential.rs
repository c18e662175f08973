//! Any number of seeds of the differential campaign.

use std::time::Instant;

use anyhow::bail;
use pgevents_tests::{differential, lab::Lab};

use pgevents_dev::progress::{BAD, GOOD};

/// Runs `count` seeds from `first` on, and stops at none of them: all differences are printed.
///
/// # Errors
///
/// At the end, if there were any.
pub fn run(first: u64, count: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new()?;
    let (mut compared, mut different) = (0, Vec::new());
    for seed in first..first.saturating_add(count) {
        match runtime.block_on(one(seed)) {
            Ok(changes) => compared += changes,
            Err(difference) => {
                anstream::println!("{BAD}✗{BAD:#} {difference}");
                different.push(seed);
            }
        }
        if (seed + 1 - first).is_multiple_of(20) {
            anstream::println!("{} seeds, {compared} changes", seed + 1 - first);
        }
    }
    let took = started.elapsed().as_secs_f32();
    anstream::println!(
        "{GOOD}{count} seeds, {compared} changes compared in {took:.0} s, {} seeds differ{GOOD:#}",
        different.len()
    );
    if !different.is_empty() {
        bail!(
            "differences in seeds {different:?}; one again: cargo dev differential --from SEED --seeds 1"
        );
    }
    Ok(())
}

async fn one(seed: u64) -> Result<usize, String> {
    let lab = Lab::start().await;
    let client = lab
        .postgres()
        .connect(lab.name())
        .await
        .map_err(|error| error.to_string())?;
    let compared = differential::run(&client, lab.name(), seed).await;
    drop(client);
    lab.finish().await;
    compared
}
