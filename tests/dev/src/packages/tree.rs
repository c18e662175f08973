//! A PostgreSQL that this Debian release does not have: another release's packages, unpacked into a
//! folder and ready to run from there.
//!
//! PostgreSQL's programs find their files relative to their own place, so unpacked packages are an
//! installation. What they lack are shared libraries, which patchelf points them to.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use pgevents_dev::dist::{self, Installation};

use super::archive::Archive;
use pgevents_dev::progress::Progress;

/// Debian's releases from old to new, each with the PostgreSQL that it ships.
const RELEASES: [(&str, u32); 4] = [
    ("bullseye", 13),
    ("bookworm", 15),
    ("trixie", 17),
    ("forky", 18),
];

/// Makes sure of a major version's tree, which stays for the next time: server, client programs,
/// server headers and wal2json, but no JIT compiler.
///
/// # Errors
///
/// When no Debian release has that major, this system is not one of them, or the archive does not
/// give the packages.
pub fn ensure(progress: &Progress, major: u32) -> anyhow::Result<Installation> {
    let folder = folder(major);
    if !is_complete(&folder, major) {
        unpack(progress, major, &folder)?;
    }
    Ok(Installation::of(&folder.join("pg_config"))?)
}

/// Below the target folder, which the servers' system user can reach: the plugin lies there too.
fn folder(major: u32) -> PathBuf {
    dist::target().join(format!("postgres/{major}"))
}

/// The package of the plugin whose slots are swapped for those of pgevents.
fn wal2json(major: u32) -> String {
    format!("postgresql-{major}-wal2json")
}

/// What is written last, into the file `complete`: the tree's own place, since the programs know
/// their libraries by it, and what came to the packages later than that.
fn mark(folder: &Path, major: u32) -> String {
    format!("{}\n{}\n", folder.display(), wal2json(major))
}

fn is_complete(folder: &Path, major: u32) -> bool {
    let found = fs::read_to_string(folder.join("complete")).unwrap_or_default();
    found == mark(folder, major)
}

fn unpack(progress: &Progress, major: u32, folder: &Path) -> anyhow::Result<()> {
    let age = |found: Option<usize>| {
        found.with_context(|| {
            format!("PostgreSQL {major} is in no Debian release that this system can run")
        })
    };
    let theirs = age(RELEASES.iter().position(|(_, has)| *has == major))?;
    let system = codename()?;
    let ours = age(RELEASES.iter().position(|(name, _)| *name == system))?;
    super::ensure_program(
        progress,
        "patchelf",
        "lets programs of another release find their libraries",
    )?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", folder.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let archive = Archive::open(progress, RELEASES[theirs].0)?;
    let programs = [
        format!("postgresql-{major}"),
        format!("postgresql-client-{major}"),
        wal2json(major),
    ];
    let mut packages = archive.with_libraries(&programs)?;
    // Programs of an older release run on this system's C library, and so can load a plugin that is
    // linked with it; those of a newer one need their own.
    let own_libc = theirs > ours;
    if !own_libc {
        let installed = installed()?;
        packages.retain(|name| programs.contains(name) || !installed.contains(name));
    }
    packages.insert(format!("postgresql-server-dev-{major}"));
    archive.unpack(progress, &packages, folder)?;
    let tree = Tree { folder, major };
    tree.drop_jit()?;
    tree.link(own_libc)?;
    tree.write_pg_config().context("write pg_config")?;
    let mark = mark(folder, major);
    fs::write(folder.join("complete"), mark).context("write the mark of a complete tree")
}

/// Name of this system's release; empty where it has none.
fn codename() -> anyhow::Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.unwrap_or_default().trim_matches('"').to_owned())
}

fn installed() -> anyhow::Result<BTreeSet<String>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status} ${Package}\n"]);
    let output = query.output().context("start dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("installed "));
    Ok(names.map(str::to_owned).collect())
}

struct Tree<'a> {
    folder: &'a Path,
    major: u32,
}

impl Tree<'_> {
    /// Without the library the server never tries to compile; with it and without LLVM it fails.
    fn drop_jit(&self) -> anyhow::Result<()> {
        let library = format!("usr/lib/postgresql/{}/lib/llvmjit.so", self.major);
        match fs::remove_file(self.folder.join(library)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("remove the JIT compiler")
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn bindir(&self) -> PathBuf {
        self.folder
            .join(format!("usr/lib/postgresql/{}/bin", self.major))
    }

    /// Points every program to the tree's libraries, and to its C library if it is to use that.
    ///
    /// With RPATH, not RUNPATH, since the libraries' own libraries are there too; not through
    /// LD_LIBRARY_PATH, since initdb runs the system's /bin/sh, which must not see them.
    fn link(&self, own_libc: bool) -> anyhow::Result<()> {
        let libraries = self.libraries()?;
        for entry in fs::read_dir(self.bindir()).context("read the programs")? {
            let entry = entry.context("read the programs")?;
            let program = entry.path();
            if !entry.file_type().context("read the programs")?.is_file() || !is_elf(&program)? {
                continue;
            }
            let mut patch = Command::new("patchelf");
            if own_libc {
                patch
                    .arg("--set-interpreter")
                    .arg(libraries.join(loader(&program)?));
            }
            patch
                .arg("--force-rpath")
                .arg("--set-rpath")
                .arg(&libraries);
            let output = patch.arg(&program).output().context("start patchelf")?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                bail!("patch {}: {said}", program.display());
            }
        }
        Ok(())
    }

    /// The folder of this processor's libraries, for example `usr/lib/x86_64-linux-gnu`.
    fn libraries(&self) -> anyhow::Result<PathBuf> {
        let folders = fs::read_dir(self.folder.join("usr/lib")).context("read the libraries")?;
        let mut folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
        let found = folders.find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        found.context("the packages hold no libraries")
    }

    /// Debian's pg_config of 13 names places in /usr wherever it lies, newer ones relocate.
    fn write_pg_config(&self) -> std::io::Result<()> {
        let (tree, program) = (self.folder.display(), self.bindir().join("pg_config"));
        let script = format!(
            "#!/bin/sh\nout=$('{}' \"$@\") || exit $?\n\
             printf '%s\\n' \"$out\" | sed 's#\\(^\\|[ =I]\\)/usr/\\(lib\\|share\\|include\\)/postgresql#\\1{tree}/usr/\\2/postgresql#g'\n",
            program.display()
        );
        let file = self.folder.join("pg_config");
        fs::write(&file, script)?;
        fs::set_permissions(&file, Permissions::from_mode(0o755))
    }
}

fn is_elf(file: &Path) -> anyhow::Result<bool> {
    let mut start = [0; 4];
    let mut opened = fs::File::open(file).with_context(|| format!("read {}", file.display()))?;
    // A shorter file is a script.
    Ok(opened.read_exact(&mut start).is_ok() && start == *b"\x7fELF")
}

/// File name of the dynamic loader that a program asks for.
fn loader(program: &Path) -> anyhow::Result<String> {
    let output = Command::new("patchelf")
        .arg("--print-interpreter")
        .arg(program)
        .output();
    let output = output.context("start patchelf")?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty());
    Ok(name
        .with_context(|| format!("{} names no loader", program.display()))?
        .to_owned())
}
