//! The stack of `docker-compose.yml`, where a container engine runs.

use pgevents_dev::dist;
use pgevents_dev::engine::{Engine, IMAGES};

use super::{Suite, stand_in};
use crate::build::cargo;
use crate::packages;

impl Suite<'_> {
    /// Builds the images and runs the tests of the stack, or says why not.
    pub(super) fn compose(&mut self) {
        let name = "the stack in containers";
        let engine = match Engine::find() {
            Ok(engine) => engine,
            Err(reason) => {
                return self.skip(name, &reason.to_string());
            }
        };
        let ready = stand_in::ensure_base_images(self.progress, &engine)
            .and_then(|()| {
                let reason = "psql, as the README has it";
                packages::ensure_program_of(self.progress, "psql", "postgresql-client", reason)
            })
            .and_then(|()| {
                let mut images = engine.compose(&["build"]);
                images.current_dir(dist::workspace()).envs(IMAGES);
                self.progress.step("build the images", &mut images)
            });
        if let Err(error) = ready {
            return self.cannot(name, &error);
        }
        // All packages, as for the other tests: nothing is compiled again with other features.
        let mut tests = cargo("test");
        tests.args(["--features", "pgevents-tests/engine"]);
        // One stack at a time: two brokers that start at once are slow on a small machine.
        tests.args(["--test", "compose", "--", "--test-threads=1"]);
        self.tests(name, &mut tests);
    }
}
