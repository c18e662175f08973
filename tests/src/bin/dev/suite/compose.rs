//! The stack of `docker-compose.yml`, where a container engine runs.

use pgevents_tests::compose::Engine;
use pgevents_tests::dist;

use super::{Suite, stand_in};
use crate::build::cargo;

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
        if let Err(error) = stand_in::ensure_base_images(self.progress, &engine) {
            return self.cannot(name, &error);
        }
        let mut images = engine.compose(&["build"]);
        let built = self
            .progress
            .step("build the images", images.current_dir(dist::workspace()));
        if let Err(error) = built {
            return self.cannot(name, &error);
        }
        let mut tests = cargo("test");
        tests.args(["--package", "pgevents-tests", "--features", "engine"]);
        // One stack at a time: two brokers that start at once are slow on a small machine.
        tests.args(["--test", "compose", "--", "--test-threads=1"]);
        self.tests(name, &mut tests);
    }
}
