//! The package archive of another Debian release, read beside the system's own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use tempfile::TempDir;

use pgevents_dev::progress::Progress;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Package lists of one release in a folder of their own: apt's sources, dpkg's state and /usr of
/// the system are neither read nor written. Needs no root.
#[derive(Debug)]
pub struct Archive {
    folder: TempDir,
    release: String,
}

impl Archive {
    /// Reads the package lists of a release, from the mirror that this system uses.
    ///
    /// # Errors
    ///
    /// When the mirror cannot be reached or has no such release.
    pub fn open(progress: &Progress, release: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for package lists")?;
        let archive = Self {
            folder,
            release: release.to_owned(),
        };
        archive.configure().context("write apt's configuration")?;
        let mut update = archive.apt("apt-get");
        // Without this, apt takes an unreachable mirror for a warning.
        update.args(["--error-on=any", "update"]);
        progress.step(&format!("read package lists of {release}"), &mut update)?;
        Ok(archive)
    }

    /// The packages themselves and every library package that they need, directly or not, by the
    /// names that this release has for them.
    ///
    /// # Errors
    ///
    /// When apt does not answer or does not know one of the packages.
    pub fn with_libraries(&self, packages: &[String]) -> anyhow::Result<BTreeSet<String>> {
        let mut command = self.apt("apt-cache");
        command.args(["depends", "--recurse", "--important", "--no-breaks"]);
        command.args(["--no-conflicts", "--no-replaces", "--no-enhances"]);
        let output = command.args(packages).output().context("start apt-cache")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("find packages in {}: {said}", self.release);
        }
        Ok(closure(&String::from_utf8_lossy(&output.stdout), packages))
    }

    /// Downloads packages and unpacks their files below `root`; no script of theirs is run.
    ///
    /// # Errors
    ///
    /// When one is not in the archive, or the disk is full.
    pub fn unpack<'a>(
        &self,
        progress: &Progress,
        packages: impl IntoIterator<Item = &'a String>,
        root: &Path,
    ) -> anyhow::Result<()> {
        let downloads = self.folder.path().join("deb");
        let mut download = self.apt("apt-get");
        download.arg("download").args(packages);
        let name = format!("download packages of {}", self.release);
        progress.step(&name, download.current_dir(&downloads))?;
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        for entry in fs::read_dir(&downloads).context("read the downloads")? {
            let file = entry.context("read the downloads")?.path();
            let status = Command::new("dpkg-deb")
                .arg("--extract")
                .args([&file, root])
                .status();
            if !status.context("start dpkg-deb")?.success() {
                bail!("unpack {}", file.display());
            }
        }
        Ok(())
    }

    fn configure(&self) -> std::io::Result<()> {
        let folder = self.folder.path();
        for name in ["lists/partial", "cache/archives/partial", "deb"] {
            fs::create_dir_all(folder.join(name))?;
        }
        fs::write(folder.join("status"), "")?;
        let source = format!(
            "deb [signed-by={KEYRING}] {} {} main\n",
            mirror(),
            self.release
        );
        fs::write(folder.join("sources.list"), source)?;
        // Every part of Dir::Etc is named: one that is left out would be the system's. An old
        // release's lists are past their date.
        let folder = folder.display();
        let configuration = format!(
            r#"Dir::State "{folder}"; Dir::State::Lists "{folder}/lists"; Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache"; Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::parts "/dev/null"; Dir::Etc::main "/dev/null";
APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3";
"#
        );
        fs::write(self.folder.path().join("apt.conf"), configuration)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.path().join("apt.conf"));
        command
    }
}

/// The mirror of this system's own sources, in either of apt's two formats.
fn mirror() -> String {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let deb822 = read("/etc/apt/sources.list.d/debian.sources");
    let lines = read("/etc/apt/sources.list");
    let uris = deb822.lines().filter_map(|line| line.strip_prefix("URIs:"));
    let entries = lines.lines().filter(|line| line.starts_with("deb "));
    uris.chain(entries)
        .flat_map(str::split_whitespace)
        .find(|word| word.starts_with("http"))
        .unwrap_or(MIRROR)
        .to_owned()
}

/// From what `apt-cache depends --recurse` prints, the packages that are reached from `start` over
/// library packages. Perl's, LLVM's (which only the JIT compiler needs) and the C library's
/// variants for other processors are left out.
fn closure(listing: &str, start: &[String]) -> BTreeSet<String> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut package = "";
    for line in listing.lines() {
        if !line.starts_with(' ') {
            package = line.trim();
            continue;
        }
        let relation = line.trim_start().trim_start_matches('|');
        let name = relation
            .strip_prefix("Depends: ")
            .or_else(|| relation.strip_prefix("PreDepends: "));
        if let Some(name) = name.filter(|name| is_library(name)) {
            needs.entry(package).or_default().push(name);
        }
    }
    let mut reached: BTreeSet<String> = start.iter().cloned().collect();
    let mut ahead: VecDeque<&str> = start.iter().map(String::as_str).collect();
    while let Some(package) = ahead.pop_front() {
        for name in needs.get(package).into_iter().flatten() {
            if reached.insert((*name).to_owned()) {
                ahead.push_back(name);
            }
        }
    }
    reached
}

fn is_library(package: &str) -> bool {
    package.starts_with("lib")
        && !package.ends_with("-perl")
        && !package.starts_with("libllvm")
        && !package.starts_with("libc6-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_followed_and_nothing_else() {
        let listing = "\
postgresql-17
  Depends: <debconf>
 |Depends: libicu76
  PreDepends: libc6
  Depends: libllvm19
  Depends: tzdata
libicu76
  Depends: libstdc++6
<debconf>
tzdata
  Depends: libtz
libc6
  Depends: libgcc-s1
  Suggests: libnss-nis
";
        let found = closure(listing, &["postgresql-17".to_owned()]);
        let expected = [
            "libc6",
            "libgcc-s1",
            "libicu76",
            "libstdc++6",
            "postgresql-17",
        ];
        assert!(found.iter().eq(expected), "{found:?}");
    }
}
