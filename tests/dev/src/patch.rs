//! Patches that are planted in a copy of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use pgevents_dev::dist;

/// A patch with a head: lines `# key: value` before the first difference.
#[derive(Debug)]
pub struct Patch {
    path: PathBuf,
    text: String,
}

/// A copy of the workspace's sources with a patch in it; each takes the place of the one before.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
}

impl Patch {
    /// One patch.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(path: PathBuf) -> anyhow::Result<Self> {
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("read {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// The patches of a folder, in the order of their names.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let place = || format!("read {}", folder.display());
        let mut patches = Vec::new();
        for entry in fs::read_dir(folder).with_context(place)? {
            let path = entry.with_context(place)?.path();
            if path.extension().is_some_and(|end| end == "patch") {
                patches.push(Self::read(path)?);
            }
        }
        patches.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(patches)
    }

    /// The file's name without its ending.
    pub fn name(&self) -> String {
        let name = self.path.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What its head says of `key`; `None`: nothing.
    pub fn head(&self, key: &str) -> Option<String> {
        let start = format!("# {key}: ");
        let mut head = self.text.lines().take_while(|line| line.starts_with('#'));
        let value = head.find_map(|line| line.strip_prefix(&start))?;
        Some(value.to_owned())
    }

    /// Looks whether it applies to the sources as they are.
    ///
    /// # Errors
    ///
    /// When it does not.
    #[cfg(test)]
    pub fn check(&self) -> anyhow::Result<()> {
        let mut git = Command::new("git");
        git.args(["apply", "-C2", "--check"]).arg(&self.path);
        self.apply(git.current_dir(dist::workspace()))
    }

    /// Makes the copy and applies the patch to it.
    ///
    /// # Errors
    ///
    /// When the sources cannot be copied, or the patch does not apply.
    pub fn plant(&self) -> anyhow::Result<Copy> {
        let folder = dist::mutants().join("src");
        renew(&folder)?;
        let mut git = Command::new("git");
        git.args(["apply", "-C2"])
            .arg(&self.path)
            .current_dir(&folder);
        // Outside of any repository, so that paths count from the copy.
        git.env("GIT_CEILING_DIRECTORIES", dist::target());
        self.apply(&mut git)?;
        Ok(Copy { folder })
    }

    fn apply(&self, git: &mut Command) -> anyhow::Result<()> {
        let output = git.output().context("start git")?;
        if !output.status.success() {
            let says = String::from_utf8_lossy(&output.stderr);
            bail!("{}.patch does not apply: {}", self.name(), says.trim());
        }
        Ok(())
    }
}

impl Copy {
    /// Has a command of Cargo build in the copy.
    pub fn builds<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let target = self.target();
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target)
    }

    /// The same beside what the workspace itself has built: what both depend on is built once, and
    /// what has the same name takes its place.
    pub fn builds_beside<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", dist::target())
    }

    /// What is built there; the copies share it.
    pub fn target(&self) -> PathBuf {
        dist::mutants().join("target")
    }
}

/// Brings a copy of the sources up to date. A file is written only where it differs, so that Cargo
/// builds again what the last patch changed and nothing else.
fn renew(folder: &Path) -> anyhow::Result<()> {
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = git.current_dir(dist::workspace()).output();
    let listed = listed.context("list the sources")?;
    if !listed.status.success() {
        bail!("git ls-files: {}", listed.status);
    }
    let names = String::from_utf8(listed.stdout).context("read the names of the sources")?;
    let names: BTreeSet<_> = names.split('\0').filter(|name| !name.is_empty()).collect();
    remove_others(folder, folder, &names)?;
    for name in names {
        // A file that is removed and not committed is still listed.
        let Ok(text) = fs::read(dist::workspace().join(name)) else {
            continue;
        };
        let to = folder.join(name);
        if fs::read(&to).is_ok_and(|old| old == text) {
            continue;
        }
        let place = || format!("write {}", to.display());
        fs::create_dir_all(to.parent().unwrap_or(folder)).with_context(place)?;
        fs::write(&to, text).with_context(place)?;
    }
    Ok(())
}

/// Removes what a patch has added, and what is no source any more.
fn remove_others(folder: &Path, root: &Path, names: &BTreeSet<&str>) -> anyhow::Result<()> {
    let place = || format!("read {}", folder.display());
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        if path.is_dir() {
            remove_others(&path, root, names)?;
        } else if !path
            .strip_prefix(root)
            .ok()
            .and_then(Path::to_str)
            .is_some_and(|name| names.contains(name))
        {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}
