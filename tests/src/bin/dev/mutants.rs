//! Faults on purpose, each a feature of Cargo that no build that ships turns on: which check sees it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use pgevents_tests::chaos::campaign::{self, Plan};
use pgevents_tests::chaos::{ChaosError, Fault, Schedule};
use pgevents_tests::dist::{self, Installation};

use crate::build::{self, cargo};
use crate::packages;
use crate::progress::{BAD, FAINT, GOOD, Progress, seconds};
use crate::simulate;

/// A fault on purpose and where it shows.
struct Mutant {
    feature: &'static str,
    /// Whether it is in the core, which the simulation drives.
    simulated: bool,
    servers: Servers,
}

/// What sees a fault with real servers.
#[derive(Clone, Copy)]
enum Servers {
    /// The faults of [`FAULTS`], one after another, under load.
    Campaign,
    /// An end-to-end test; this is in its name and in no other's.
    Test(&'static str),
    /// Nothing, because of this.
    Hidden(&'static str),
}

const MUTANTS: [Mutant; 14] = [
    Mutant::of_core("mutant-ack-row-lsn", Servers::Campaign),
    Mutant::of_core("mutant-ack-before-confirm", Servers::Campaign),
    Mutant::of_core("mutant-ack-keepalive-in-flight", Servers::Campaign),
    Mutant::of_core("mutant-ignore-nack", Servers::Campaign),
    Mutant::of_core("mutant-ignore-return", Servers::Campaign),
    Mutant::of_core("mutant-ack-maximum", Servers::Hidden(LAST_ONES)),
    Mutant::of_core("mutant-dedupe-by-row-lsn", Servers::Campaign),
    Mutant::of_core("mutant-forget-last-row", Servers::Campaign),
    Mutant::of_core("mutant-resume-past", Servers::Test(RIGHT_BEHIND)),
    Mutant::of_core("mutant-split-transaction", Servers::Campaign),
    Mutant::of_core("mutant-swallow-decode-error", Servers::Test(DAMAGED)),
    Mutant::of_core("mutant-window-without-span", Servers::Hidden(IN_TURN)),
    Mutant {
        feature: "mutant-status-from-publisher",
        simulated: false,
        servers: Servers::Test("a_blocked_broker_costs_no_stream_and_no_duplicate"),
    },
    Mutant {
        feature: LOSSY_PLUGIN,
        simulated: false,
        servers: Servers::Campaign,
    },
];

const LAST_ONES: &str = "what a broken connection loses are its last messages, none in the middle";
const IN_TURN: &str = "a quorum queue confirms in turn, so none waits while later ones do not";
const RIGHT_BEHIND: &str = "commits_right_behind_the_acknowledged_position";
const DAMAGED: &str = "a_damaged_frame_ends_the_relay";

/// The one that is planted in the plugin.
const LOSSY_PLUGIN: &str = "mutant-lose-copied-row";

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

/// Plants one fault after the other, and says what saw it; before, that nothing is seen without one.
///
/// # Errors
///
/// When a fault goes unseen where it should be seen, or something is seen where none is.
pub fn run(progress: &Progress, only: Option<&str>) -> anyhow::Result<()> {
    let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
    build::faulty_plugin(progress, &postgres)?;
    build::lossy_plugin(progress, &postgres)?;
    build::dist(progress, &postgres)?;
    let workshop = Workshop {
        progress,
        postgres,
        runtime: tokio::runtime::Runtime::new()?,
    };
    let chosen = |mutant: &&Mutant| only.is_none_or(|only| mutant.feature.contains(only));
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(chosen).collect();
    workshop.without_fault(&mutants)?;
    let mut unseen = Vec::new();
    for mutant in &mutants {
        if !workshop.try_out(mutant)? {
            unseen.push(mutant.feature);
        }
    }
    let seen = mutants.len() - unseen.len();
    anstream::println!("{seen} of {} faults were seen", mutants.len());
    match unseen.is_empty() {
        true => Ok(()),
        false => bail!("unseen: {}", unseen.join(", ")),
    }
}

impl Mutant {
    const fn of_core(feature: &'static str, servers: Servers) -> Self {
        Self {
            feature,
            simulated: true,
            servers,
        }
    }

    /// The feature of the relay, if that is where the fault is.
    fn of_relay(&self) -> Option<&'static str> {
        (self.feature != LOSSY_PLUGIN).then_some(self.feature)
    }
}

struct Workshop<'a> {
    progress: &'a Progress,
    postgres: Installation,
    runtime: tokio::runtime::Runtime,
}

impl Workshop<'_> {
    /// Runs every check that is to see something, on the relay without a fault.
    fn without_fault(&self, mutants: &[&Mutant]) -> anyhow::Result<()> {
        let simulated = simulate::look(self.progress, "without a fault", None)?;
        let relay = self.relay(None)?;
        let mut seen = simulated;
        if let (None, Some((finding, _))) = (&seen, self.campaign(&relay, String::new())?) {
            seen = Some(finding);
        }
        for mutant in mutants {
            if let (None, Servers::Test(name)) = (&seen, mutant.servers)
                && self.test_fails(name, &relay)?
            {
                seen = Some(format!("test {name}"));
            }
        }
        match seen {
            Some(finding) => bail!("a promise is broken without any fault: {finding}"),
            None => Ok(()),
        }
    }

    /// Whether everything that should see this fault does.
    fn try_out(&self, mutant: &Mutant) -> anyhow::Result<bool> {
        let begun = Instant::now();
        let mut good = true;
        let mut says = Vec::new();
        if mutant.simulated {
            let feature = Some(mutant.feature);
            match simulate::look(self.progress, mutant.feature, feature)? {
                Some(finding) => says.push(format!("simulation: {finding}")),
                None => {
                    good = false;
                    says.push("the simulation does not see it".to_owned());
                }
            }
        }
        match mutant.servers {
            Servers::Hidden(reason) => says.push(format!("servers: hidden, {reason}")),
            Servers::Campaign => match self.campaign_of(mutant)? {
                Some((finding, fault)) => says.push(format!("campaign: {finding}, at {fault}")),
                None => {
                    good = false;
                    says.push("the campaign does not see it".to_owned());
                }
            },
            Servers::Test(name) => match self.test_fails(name, &self.relay(mutant.of_relay())?)? {
                true => says.push(format!("test: {name}")),
                false => {
                    good = false;
                    says.push(format!("test {name} does not see it"));
                }
            },
        }
        let (style, mark) = if good { (GOOD, "✓") } else { (BAD, "✗") };
        let took = seconds(begun.elapsed());
        anstream::println!(
            "{style}{mark}{style:#} {} {FAINT}{took}{FAINT:#}",
            mutant.feature
        );
        for line in says {
            anstream::println!("    {line}");
        }
        Ok(good)
    }

    fn campaign_of(&self, mutant: &Mutant) -> anyhow::Result<Option<(String, String)>> {
        let relay = self.relay(mutant.of_relay())?;
        let settings = match mutant.of_relay() {
            Some(_) => String::new(),
            None => {
                let plugin = dist::lossy_plugin(self.postgres.major);
                let folder = plugin.parent().unwrap_or(Path::new("/")).display();
                format!("dynamic_library_path = '{folder}:$libdir'")
            }
        };
        self.campaign(&relay, settings)
    }

    /// Builds the relay with a fault. Not in release: what is built so is what ships.
    fn relay(&self, feature: Option<&str>) -> anyhow::Result<PathBuf> {
        let mut build = cargo("build");
        build.args(["--package", "pgevents-relay", "--bin", "pgevents"]);
        build.args(feature.map(|feature| format!("--features={feature}")));
        let name = format!("relay, {}", feature.unwrap_or("without a fault"));
        self.progress.step(&name, &mut build)?;
        Ok(dist::target().join("debug/pgevents"))
    }

    /// The promise that the campaign sees broken, and in which round; `None` if it comes to its end.
    fn campaign(&self, relay: &Path, settings: String) -> anyhow::Result<Option<(String, String)>> {
        let plan = Plan {
            seed: SEED,
            rounds: None,
            time: None,
            schedule: Schedule::faults(&FAULTS),
            rate: RATE,
            pause: Duration::from_millis(100),
            logs: dist::target().join("chaos/mutant"),
            relay: relay.to_owned(),
            settings,
        };
        let mut done = 0;
        let played = self.runtime.block_on(campaign::run(&plan, |_| done += 1));
        match played {
            Ok(_) => Ok(None),
            Err(ChaosError::Violation(violation)) => {
                let place = match FAULTS.get(done) {
                    Some(fault) => {
                        format!("{}, fault {} of {}", fault.name(), done + 1, FAULTS.len())
                    }
                    None => "the end".to_owned(),
                };
                Ok(Some((violation.to_string(), place)))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whether a test fails with this relay.
    fn test_fails(&self, name: &str, relay: &Path) -> anyhow::Result<bool> {
        let mut test = cargo("test");
        test.args(["--package", "pgevents-tests", "--test", "e2e", name]);
        test.env("PGEVENTS_TEST_PG_CONFIG", &self.postgres.pg_config);
        test.env("PGEVENTS_TEST_RELAY", relay);
        let outcome = self.progress.watch(name, &mut test)?;
        match outcome.output {
            output if output.contains("1 passed; 0 failed") => Ok(false),
            output if output.contains("0 passed; 1 failed") => Ok(true),
            output => bail!("one test was wanted: {output}"),
        }
    }
}
