//! The short form of the fault campaign; `cargo dev chaos` is the long one.

use std::time::Duration;

use pgevents_tests::chaos::campaign::{self, Plan};
use pgevents_tests::chaos::{Fault, Schedule};
use pgevents_tests::dist;

/// Every part dies once, and every kind of break happens once; what takes long is left out.
const FAULTS: [Fault; 18] = [
    Fault::RelayKill,
    Fault::WalsenderTerminate,
    Fault::Cut,
    Fault::RelayTerm,
    Fault::WalsenderKill,
    Fault::Cut,
    Fault::Reset,
    Fault::PostgresKill,
    Fault::HalfClose,
    Fault::Cut,
    Fault::BrokerKill,
    Fault::RelayKill,
    Fault::Stall,
    Fault::Unbind,
    Fault::SlotDrop,
    Fault::QueueFull,
    Fault::Unbind,
    Fault::RelayKill,
];

#[tokio::test(flavor = "multi_thread")]
async fn faults_one_after_another_lose_nothing_and_show_no_gap() {
    let seed = fastrand::u64(0..1 << 32);
    let plan = Plan {
        seed,
        rounds: None,
        time: None,
        schedule: Schedule::faults(&FAULTS),
        rate: 5_000,
        pause: Duration::from_millis(200),
        logs: dist::target().join("chaos/short"),
        relay: dist::relay(),
        settings: String::new(),
    };
    let played = campaign::run(&plan, |round| println!("{round}")).await;
    let report = played.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    println!("{report}");
    assert_eq!(report.rounds(), FAULTS.len());
}
