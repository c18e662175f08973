//! Debian packages of what was built: `postgresql-NN-pgevents` and `pgevents`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use pgevents_dev::dist::{self, Installation};

use crate::build::{self, cargo};
use crate::packages;
use pgevents_dev::progress::Progress;

/// The version of cargo-deb, which packs. Another one may name its options otherwise.
const CARGO_DEB: &str = "3.8.0";

/// Builds the plugin for one PostgreSQL and the relay, and puts a package of each into
/// `target/dist/deb`, with its debug symbols in a package beside it.
///
/// # Errors
///
/// When the tool cannot be built, or a build or a package fails.
pub fn packages(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    // It asks Debian's own tool which packages the libraries are from.
    packages::ensure_program_of(
        progress,
        "dpkg-shlibdeps",
        "dpkg-dev",
        "finds what a package depends on",
    )?;
    ensure_cargo_deb(progress)?;
    build::dist(progress, postgres)?;
    place_manual(progress)?;
    let variant = format!("--variant=pg{}", postgres.major);
    let name = format!("pack postgresql-{}-pgevents", postgres.major);
    let mut plugin = pack("pgevents");
    progress.step(&name, plugin.arg(&variant))?;
    progress.step("pack pgevents", &mut pack("pgevents-relay"))?;
    Ok(())
}

/// Where the packages are put.
pub fn folder() -> PathBuf {
    dist::folder().join("deb")
}

fn pack(package: &str) -> Command {
    let mut command = Command::new(tools().join("bin/cargo-deb"));
    command.current_dir(dist::workspace());
    command.args(["--no-build", "--dbgsym", "--package", package]);
    command.arg("--output").arg(folder());
    if let Some(maintainer) = maintainer() {
        command.arg("--maintainer").arg(maintainer);
    }
    command
}

/// Whoever packs answers for the package: `DEBEMAIL` and `DEBFULLNAME`, as Debian's own tools read
/// them.
fn maintainer() -> Option<String> {
    let address = env::var("DEBEMAIL").ok()?;
    let name = env::var("DEBFULLNAME").unwrap_or_else(|_| "pgevents".to_owned());
    Some(format!("{name} <{address}>"))
}

/// Puts manual pages, compressed, and completions where cargo-deb looks for what was built.
fn place_manual(progress: &Progress) -> anyhow::Result<()> {
    let place = dist::target().join("release/manual");
    build::make_empty(&place)?;
    let mut copy = Command::new("cp");
    copy.arg("--recursive")
        .args(["man", "completions"].map(|name| dist::folder().join(name)));
    progress.step("copy the manual", copy.arg(&place))?;
    // Without name and time in it, the same page makes the same file.
    let mut compress = Command::new("gzip");
    compress.args(["-9", "--no-name", "--recursive"]);
    progress.step("compress its pages", compress.arg(place.join("man")))?;
    Ok(())
}

/// Built once, below the target folder: nothing of the user's own Cargo changes.
fn ensure_cargo_deb(progress: &Progress) -> anyhow::Result<()> {
    let version = Command::new(tools().join("bin/cargo-deb"))
        .arg("--version")
        .output();
    if version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .ends_with(CARGO_DEB)
    }) {
        return Ok(());
    }
    let mut install = cargo("install");
    install.args(["--locked", "--version", CARGO_DEB, "--root"]);
    install.arg(tools()).arg("cargo-deb");
    progress.step("install cargo-deb", &mut install)?;
    Ok(())
}

fn tools() -> PathBuf {
    dist::target().join("tools")
}
