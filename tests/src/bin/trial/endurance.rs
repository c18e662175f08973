//! The scenarios that are long or large, at full size.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use pgevents_tests::endurance;
use pgevents_tests::lab::Lab;

use pgevents_dev::progress::GOOD;

/// Rows of the transaction that is large by their number, and bytes of each one's text.
const MANY: (u64, u64) = (5_000_000, 12);

/// The same for the one that is large by its bytes: 2 GB of WAL and more. A row of this width is
/// not compressed, and not moved to another table.
const WIDE: (u64, u64) = (1_100_000, 1_900);

/// WAL that another database writes, in bytes.
const OTHER: u64 = 1 << 30;

/// Rows of a transaction of which nothing is sent: the server replays them for longer than the
/// relay bears its silence.
const UNWANTED: u64 = 40_000_000;

/// How long a broker takes no events.
const STALL: Duration = Duration::from_secs(180);

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A transaction of 5,000,000 rows; the relay is killed in the middle
    Rows,
    /// A transaction of 2 GB; the relay is killed in the middle
    Bytes,
    /// Another database writes 1 GB while ours is idle
    Retention,
    /// A transaction of 40,000,000 rows of which none is wanted
    Quiet,
    /// A broker blocked for three minutes, while the server waits one second for signs of life
    Stall,
}

/// Runs one scenario or all of them, each on servers of its own.
///
/// # Panics
///
/// Where a promise is broken, with the logs of both sides.
pub fn run(only: Option<Scenario>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for scenario in Scenario::value_variants() {
        if only.is_none_or(|only| only == *scenario) {
            let started = Instant::now();
            let measured = runtime.block_on(one(*scenario));
            let took = started.elapsed().as_secs_f32();
            anstream::println!("{GOOD}✓{GOOD:#} {measured} ({took:.0} s in all)");
        }
    }
    Ok(())
}

async fn one(scenario: Scenario) -> String {
    let mut lab = Lab::with_own_servers("").await;
    let measured = match scenario {
        Scenario::Rows => transaction(&mut lab, MANY).await,
        Scenario::Bytes => transaction(&mut lab, WIDE).await,
        Scenario::Retention => endurance::other_database(&mut lab, OTHER).await.to_string(),
        Scenario::Quiet => endurance::unwanted_transaction(&mut lab, UNWANTED)
            .await
            .to_string(),
        Scenario::Stall => {
            lab.create_slot().await;
            endurance::stalled_broker(&mut lab, STALL).await.to_string()
        }
    };
    lab.finish().await;
    measured
}

async fn transaction(lab: &mut Lab, (rows, width): (u64, u64)) -> String {
    lab.create_slot().await;
    endurance::large_transaction(lab, rows, width)
        .await
        .to_string()
}
