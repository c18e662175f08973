//! The campaign that has to see a planted fault.

use std::path::Path;
use std::time::Duration;

use pgevents_dev::dist;
use pgevents_tests::chaos::campaign::{self, Plan};
use pgevents_tests::chaos::{ChaosError, Fault, Schedule};

/// What the campaign does to each; the ones that show most faults at once come first.
const FAULTS: [Fault; 40] = {
    use Fault::{BrokerKill, Cut, QueueFull, RelayKill, Reset, Stall, Unbind, WalsenderTerminate};
    [
        Reset,
        Unbind,
        QueueFull,
        RelayKill,
        Cut,
        Reset,
        Stall,
        RelayKill,
        Cut,
        Reset, //
        Cut,
        RelayKill,
        Reset,
        Stall,
        RelayKill,
        BrokerKill,
        Reset,
        Cut,
        RelayKill,
        Reset, //
        WalsenderTerminate,
        Cut,
        Reset,
        RelayKill,
        Stall,
        RelayKill,
        Reset,
        Cut,
        Reset,
        BrokerKill, //
        Reset,
        RelayKill,
        Cut,
        Reset,
        Stall,
        RelayKill,
        Cut,
        Reset,
        RelayKill,
        Reset,
    ]
};

/// Rows a second, which a relay without optimisation can carry.
const RATE: u64 = 4_000;

/// Of the campaign.
const SEED: u64 = 7;

/// Runs the campaign with a relay, and with the plugin of a folder if there is one; prints the
/// promise that it sees broken, and where.
///
/// # Errors
///
/// When it cannot be run.
pub fn run(relay: &Path, plugin: Option<&Path>) -> anyhow::Result<()> {
    let settings =
        plugin.map(|folder| format!("dynamic_library_path = '{}:$libdir'", folder.display()));
    let plan = Plan {
        seed: SEED,
        rounds: None,
        time: None,
        schedule: Schedule::faults(&FAULTS),
        rate: RATE,
        pause: Duration::from_millis(100),
        logs: dist::target().join("chaos/mutant"),
        relay: relay.to_owned(),
        settings: settings.unwrap_or_default(),
    };
    let mut done = 0;
    let runtime = tokio::runtime::Runtime::new()?;
    match runtime.block_on(campaign::run(&plan, |_| done += 1)) {
        Ok(_) => Ok(()),
        Err(ChaosError::Violation(violation)) => {
            println!("seen: {violation}");
            match FAULTS.get(done) {
                Some(fault) => {
                    println!(
                        "at: {}, fault {} of {}",
                        fault.name(),
                        done + 1,
                        FAULTS.len()
                    );
                }
                None => println!("at: the end"),
            }
            Ok(())
        }
        Err(failure) => Err(failure.into()),
    }
}
