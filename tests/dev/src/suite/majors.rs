//! The plugin on the majors that the other tests do not run on.

use pgevents_dev::dist::Installation;

use super::Suite;
use crate::build::{self, cargo};
use crate::packages;

/// Majors that Debian's releases have.
const MAJORS: [u32; 4] = [13, 15, 17, 18];

/// Modules of the end-to-end tests that each major must pass: what an event is, values of every
/// type, every kind of identity, and that no server takes another major's library.
const SMOKE: [&str; 4] = ["contract::", "types::", "identity::", "majors::"];

impl Suite<'_> {
    /// Builds the plugin for every other major that can be had, and runs a part of the end-to-end
    /// tests there. Fails if the archive has none of them: then nothing was compared.
    pub(super) fn majors(&mut self, own: &Installation) {
        let mut ran = 0;
        for major in MAJORS.into_iter().filter(|major| *major != own.major) {
            let name = format!("smoke on PostgreSQL {major}");
            match packages::ensure(self.progress, Some(major), packages::Use::Servers) {
                Ok(postgres) => {
                    self.major(&name, &postgres);
                    ran += 1;
                }
                Err(error) => self.skip(&name, &format!("{error:#}")),
            }
        }
        if ran == 0 {
            let error = anyhow::anyhow!("no other major than {} could be had", own.major);
            self.cannot("smoke on other majors", &error);
        }
    }

    fn major(&mut self, name: &str, postgres: &Installation) {
        if let Err(error) = build::plugin(self.progress, postgres) {
            return self.cannot(name, &error);
        }
        let mut tests = cargo("test");
        tests.args(["--test", "e2e", "--"]).args(SMOKE);
        tests.env("PGEVENTS_TEST_PG_CONFIG", &postgres.pg_config);
        self.tests(name, &mut tests);
    }
}
