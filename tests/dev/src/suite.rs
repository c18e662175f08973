//! Every check of the project.

mod compose;
mod debian;
mod majors;
mod stand_in;

use std::process::{Command, ExitCode};

use pgevents_dev::dist::{self, Installation};

use crate::bench;
use crate::build::{self, cargo, plugin_cargo};
use crate::packages;
use pgevents_dev::progress::{BAD, FAINT, GOOD, Progress};

/// Filters that stand for a part of the checks which needs builds of its own.
const COMPOSE: &str = "compose";
const MAJORS: &str = "majors";
const PACKAGES: &str = "packages";

/// Runs all checks, or the tests whose name contains `filter`, and prints the sum. All checks on
/// one named major are those that depend on it.
///
/// # Errors
///
/// When the machine lacks what the checks need and it cannot be installed.
pub fn run(progress: &Progress, filter: Option<&str>, pg: Option<u32>) -> anyhow::Result<ExitCode> {
    let mut suite = Suite {
        progress,
        count: Count::default(),
    };
    if filter == Some(COMPOSE) {
        suite.compose();
        return Ok(suite.sum());
    }
    let postgres = packages::ensure(progress, pg, packages::Use::Servers)?;
    if filter == Some(PACKAGES) {
        suite.packages(&postgres);
        return Ok(suite.sum());
    }
    if filter == Some(MAJORS) {
        build::dist(progress, &postgres)?;
        suite.majors(&postgres);
        return Ok(suite.sum());
    }
    suite.on_one_major(&postgres, filter);
    if (filter, pg) == (None, None) {
        suite.majors(&postgres);
        suite.compose();
    }
    Ok(suite.sum())
}

struct Suite<'a> {
    progress: &'a Progress,
    count: Count,
}

/// How many tests and checks ended how.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    fn add_check(&mut self, good: bool) {
        *(if good {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
    }

    /// Adds up the lines `test result: ok. 3 passed; 0 failed; 0 ignored; …` of the test harness.
    fn of(output: &str) -> Self {
        let mut count = Self::default();
        for line in output
            .lines()
            .filter_map(|line| line.trim().strip_prefix("test result: "))
        {
            let number = |word: &str| -> u64 {
                let part = line
                    .split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(word));
                part.and_then(|digits| digits.trim().parse().ok())
                    .unwrap_or(0)
            };
            count.passed += number("passed");
            count.failed += number("failed");
            count.skipped += number("ignored");
        }
        count
    }
}

impl Suite<'_> {
    /// Builds for one PostgreSQL and checks what was built.
    fn on_one_major(&mut self, postgres: &Installation, filter: Option<&str>) {
        let built = build::faulty_plugin(self.progress, postgres)
            .and_then(|()| build::dist(self.progress, postgres));
        if let Err(error) = &built {
            anstream::println!("{BAD}error:{BAD:#} {error:#}");
        }
        self.count.add_check(built.is_ok());
        if filter.is_none() {
            self.static_checks(postgres);
        }
        if let Err(error) = packages::ensure_peers(self.progress, postgres) {
            self.cannot("what tests meet beside the servers", &error);
        }
        // One selection of packages for all of it: another would choose other features of the
        // dependencies and compile them again.
        let mut tests = cargo("test");
        tests.arg("--no-fail-fast");
        if built.is_err() {
            tests.args(["--lib", "--bins"]);
        }
        tests.env("PGEVENTS_TEST_PG_CONFIG", &postgres.pg_config);
        tests.args(filter).args(["--", "--skip", "majors::"]);
        self.tests("tests, end to end included", &mut tests);
    }

    /// Prints how many tests and checks ended how.
    fn sum(&self) -> ExitCode {
        let Count {
            passed,
            failed,
            skipped,
        } = self.count;
        let skipped = if skipped > 0 {
            format!(", {skipped} skipped")
        } else {
            String::new()
        };
        let style = if failed == 0 { GOOD } else { BAD };
        anstream::println!("{style}{passed} passed, {failed} failed{skipped}{style:#}");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn static_checks(&mut self, postgres: &Installation) {
        self.check("format", cargo("fmt").args(["--all", "--check"]));
        let deny = ["--", "--deny", "warnings"];
        self.check("clippy", cargo("clippy").arg("--all-targets").args(deny));
        self.check(
            "clippy of the plugin",
            plugin_cargo("clippy", postgres).args(deny),
        );
        let document = |mut command: Command| {
            command.args(["--no-deps", "--document-private-items", "--lib"]);
            command.env("RUSTDOCFLAGS", "--deny warnings");
            command
        };
        let counts = "instructions a row of encoder, decoder and JSON writer";
        match packages::ensure_program(self.progress, "valgrind", "counts instructions") {
            Ok(()) => self.check(counts, &mut bench::instructions("check")),
            Err(error) => self.cannot(counts, &error),
        }
        match packages::ensure_program(self.progress, "prometheus", "checks the alerts") {
            Ok(()) => {
                self.check("alert rules", promtool("check").arg("alerts.yml"));
                let tests = "tests of the alert rules";
                self.check(tests, promtool("test").arg("alerts_test.yml"));
            }
            Err(error) => self.cannot("alert rules", &error),
        }
        self.check("documentation", &mut document(cargo("doc")));
        self.check(
            "documentation of the plugin",
            &mut document(plugin_cargo("doc", postgres)),
        );
    }

    fn check(&mut self, name: &str, command: &mut Command) {
        match self.progress.watch(name, command) {
            Ok(outcome) => {
                let good = outcome.status.success();
                self.progress.report(name, good, outcome.took, "");
                if !good {
                    self.progress.show(&outcome.output);
                }
                self.count.add_check(good);
            }
            Err(error) => self.cannot(name, &error),
        }
    }

    fn tests(&mut self, name: &str, command: &mut Command) {
        let outcome = match self.progress.watch(name, command) {
            Ok(outcome) => outcome,
            Err(error) => return self.cannot(name, &error),
        };
        let good = outcome.status.success();
        let mut count = Count::of(&outcome.output);
        if !good && count.failed == 0 {
            // It did not build, or a test took the whole binary down.
            count.failed = 1;
        }
        let remark = format!("{} passed, {} failed", count.passed, count.failed);
        self.progress.report(name, good, outcome.took, &remark);
        if !good {
            self.progress.show(&outcome.output);
        }
        self.count.passed += count.passed;
        self.count.failed += count.failed;
        self.count.skipped += count.skipped;
    }

    fn skip(&mut self, name: &str, reason: &str) {
        anstream::println!("{FAINT}–{FAINT:#} {name}: skipped: {reason}");
        self.count.skipped += 1;
    }

    fn cannot(&mut self, name: &str, error: &anyhow::Error) {
        anstream::println!("{BAD}✗{BAD:#} {name}: {error:#}");
        self.count.add_check(false);
    }
}

/// Prometheus's tool for rules, beside those of the project.
fn promtool(what: &str) -> Command {
    let mut command = Command::new("promtool");
    command.current_dir(dist::workspace().join("docs/monitoring"));
    command.args([what, "rules"]);
    command
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn results_of_several_test_binaries_add_up() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            \ntest result: FAILED. 11 passed; 2 failed; 1 ignored; 0 measured; finished in 1.2s\n";
        assert_eq!(
            Count::of(output),
            Count {
                passed: 14,
                failed: 2,
                skipped: 1
            }
        );
    }
}
