//! The Debian packages in an empty Debian, where a container engine runs.

use pgevents_dev::dist::{self, Installation};
use pgevents_dev::engine::Engine;

use super::{Suite, stand_in};
use crate::debian;

impl Suite<'_> {
    /// Packs plugin and relay, installs both in a container of Debian's release, and tries them, or
    /// says why not.
    pub(super) fn packages(&mut self, postgres: &Installation) {
        let name = "Debian packages in an empty Debian";
        let engine = match Engine::find() {
            Ok(engine) => engine,
            Err(reason) => return self.skip(name, &reason.to_string()),
        };
        let ready = stand_in::ensure_debian(self.progress, &engine)
            .and_then(|()| debian::packages(self.progress, postgres));
        if let Err(error) = ready {
            return self.cannot(name, &error);
        }
        let packages = format!("{}:/packages:ro", debian::folder().display());
        let script = dist::workspace().join("tests/packages");
        let script = format!("{}:/try:ro", script.display());
        let mut run = engine.docker(&["run", "--rm", "--volume", &packages, "--volume", &script]);
        run.args([stand_in::DEBIAN, "sh", "/try/try.sh"]);
        run.arg(postgres.major.to_string()).arg("/packages");
        self.check(name, &mut run);
    }
}
