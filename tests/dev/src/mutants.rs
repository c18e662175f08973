//! Faults on purpose: which check sees each. They are patches in `tests/mutants/`, applied to a
//! copy of the sources; the product has none of them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use pgevents_dev::dist::{self, Installation};
use pgevents_dev::progress::{BAD, FAINT, GOOD, Progress, seconds};

use crate::build::{self, cargo};
use crate::packages;
use crate::patch::Patch;
use crate::simulate;
use crate::trial;

/// A fault on purpose and where it shows.
#[derive(Debug)]
struct Mutant {
    name: String,
    patch: Patch,
    /// Where it is planted.
    part: Part,
    /// Whether it is in the core, which the simulation drives.
    simulated: bool,
    servers: Servers,
}

/// A part of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Relay,
    Plugin,
}

/// What sees a fault with real servers.
#[derive(Debug)]
enum Servers {
    /// Faults of every kind, one after another, under load.
    Campaign,
    /// An end-to-end test; this is in its name and in no other's.
    Test(String),
    /// Nothing, because of this.
    Hidden(String),
}

/// Plants one fault after the other, and says what saw it; before, that nothing is seen without
/// one.
///
/// # Errors
///
/// When a fault goes unseen where it should be seen, or something is seen where none is.
pub fn run(progress: &Progress, only: Option<&str>) -> anyhow::Result<()> {
    let postgres = packages::ensure(progress, None, packages::Use::Servers)?;
    let mut mutants = all()?;
    mutants.retain(|mutant| only.is_none_or(|only| mutant.name.contains(only)));
    build::faulty_plugin(progress, &postgres)?;
    for mutant in mutants.iter().filter(|mutant| mutant.part == Part::Plugin) {
        let to = mutant.plugin(&postgres);
        build::patched_plugin(progress, &postgres, &mutant.patch, &to)?;
    }
    build::dist(progress, &postgres)?;
    let workshop = Workshop { progress, postgres };
    workshop.without_fault(&mutants)?;
    let mut unseen = Vec::new();
    for mutant in &mutants {
        if !workshop.try_out(mutant)? {
            unseen.push(mutant.name.as_str());
        }
    }
    let seen = mutants.len() - unseen.len();
    anstream::println!("{seen} of {} faults were seen", mutants.len());
    match unseen.is_empty() {
        true => Ok(()),
        false => bail!("unseen: {}", unseen.join(", ")),
    }
}

/// The patches of `tests/mutants/`, in the order of their names.
fn all() -> anyhow::Result<Vec<Mutant>> {
    let patches = Patch::all(&dist::patches_of_mutants())?;
    patches.into_iter().map(Mutant::of).collect()
}

impl Mutant {
    /// Reads what the head of a patch says of it.
    fn of(patch: Patch) -> anyhow::Result<Self> {
        let name = patch.name();
        let says = |key: &str| {
            let value = patch.head(key);
            value.with_context(|| format!("tests/mutants/{name}.patch says nothing of {key:?}"))
        };
        let servers = says("servers")?;
        let servers = match servers.split_once(' ') {
            None if servers == "campaign" => Servers::Campaign,
            Some(("test", test)) => Servers::Test(test.to_owned()),
            Some(("hidden", why)) => Servers::Hidden(why.to_owned()),
            _ => bail!("tests/mutants/{name}.patch: servers: {servers}"),
        };
        let simulated = match says("simulation")?.as_str() {
            "yes" => true,
            "no" => false,
            other => bail!("tests/mutants/{name}.patch: simulation: {other}"),
        };
        let part = match patch.head("of").as_deref() {
            None => Part::Relay,
            Some("plugin") => Part::Plugin,
            Some(other) => bail!("tests/mutants/{name}.patch: of: {other}"),
        };
        Ok(Self {
            name,
            patch,
            part,
            simulated,
            servers,
        })
    }

    /// The relay's patch, if it is one.
    fn of_relay(&self) -> Option<&Patch> {
        (self.part == Part::Relay).then_some(&self.patch)
    }

    /// Where the plugin with this fault stands.
    fn plugin(&self, postgres: &Installation) -> PathBuf {
        let folder = dist::mutants().join(&self.name);
        folder
            .join(format!("pg{}", postgres.major))
            .join("pgevents.so")
    }
}

struct Workshop<'a> {
    progress: &'a Progress,
    postgres: Installation,
}

impl Workshop<'_> {
    /// Runs every check that is to see something, on the relay without a fault.
    fn without_fault(&self, mutants: &[Mutant]) -> anyhow::Result<()> {
        let simulated = simulate::look(self.progress, "without a fault", None)?;
        let relay = self.relay(None)?;
        let mut seen = simulated;
        if let (None, Some((finding, _))) = (&seen, self.campaign(&relay, None)?) {
            seen = Some(finding);
        }
        for mutant in mutants {
            if let (None, Servers::Test(name)) = (&seen, &mutant.servers)
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
            match simulate::look(self.progress, &mutant.name, Some(&mutant.patch))? {
                Some(finding) => says.push(format!("simulation: {finding}")),
                None => {
                    good = false;
                    says.push("the simulation does not see it".to_owned());
                }
            }
        }
        match &mutant.servers {
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
            mutant.name
        );
        for line in says {
            anstream::println!("    {line}");
        }
        Ok(good)
    }

    fn campaign_of(&self, mutant: &Mutant) -> anyhow::Result<Option<(String, String)>> {
        let relay = self.relay(mutant.of_relay())?;
        let plugin = match mutant.part {
            Part::Relay => None,
            Part::Plugin => Some(mutant.plugin(&self.postgres)),
        };
        self.campaign(&relay, plugin.as_deref().and_then(Path::parent))
    }

    /// Builds the relay with a fault or without. Not in release: what is built so is what ships.
    fn relay(&self, patch: Option<&Patch>) -> anyhow::Result<PathBuf> {
        let mut build = cargo("build");
        build.args(["--package", "pgevents-relay", "--bin", "pgevents"]);
        let Some(patch) = patch else {
            self.progress.step("relay, without a fault", &mut build)?;
            return Ok(dist::target().join("debug/pgevents"));
        };
        let copy = patch.plant()?;
        let name = format!("relay, {}", patch.name());
        self.progress.step(&name, copy.builds(&mut build))?;
        Ok(copy.target().join("debug/pgevents"))
    }

    /// The promise that the campaign sees broken, and in which round; `None` if it comes to its
    /// end. `plugin`: a folder with another plugin.
    fn campaign(
        &self,
        relay: &Path,
        plugin: Option<&Path>,
    ) -> anyhow::Result<Option<(String, String)>> {
        let mut campaign = trial::command("campaign");
        campaign.arg(relay).args(plugin);
        let outcome = self.progress.watch("campaign", &mut campaign)?;
        let said = |mark: &str| {
            let line = outcome
                .output
                .lines()
                .find_map(|line| line.strip_prefix(mark));
            line.map(str::to_owned)
        };
        match said("seen: ").zip(said("at: ")) {
            Some(finding) => Ok(Some(finding)),
            None if outcome.status.success() => Ok(None),
            None => bail!("the campaign: {}: {}", outcome.status, outcome.output),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_applies_to_the_sources_and_says_what_must_see_it() {
        let mutants = all().expect("every patch has its head");
        assert!(mutants.len() > 10, "{mutants:#?}");
        let faults = Patch::read(dist::patch_of_faults()).expect("faults of the plugin");
        for patch in mutants.iter().map(|mutant| &mutant.patch).chain([&faults]) {
            patch.check().expect("it applies");
        }
    }
}
