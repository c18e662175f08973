//! Base images where no image registry can be reached: Debian's packages under the official names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use pgevents_tests::compose::Engine;
use pgevents_tests::dist;

use crate::packages;
use crate::progress::Progress;

/// The base of the stand-ins, and where packages are tried.
pub const DEBIAN: &str = "debian:bookworm-slim";

/// The official images that the Dockerfiles and `docker-compose.yml` name, with the folder of the
/// stand-in in `tests/stand-in`.
const OFFICIAL: [(&str, &str); 3] = [
    ("rust:1.95-bookworm", "rust"),
    ("postgres:15-bookworm", "postgres"),
    ("rabbitmq:4-management", "rabbitmq"),
];

/// Makes sure of every base image: already there, pulled, or else made from Debian's packages.
/// Says which ones are stand-ins, each time.
///
/// # Errors
///
/// When a stand-in cannot be made.
pub fn ensure_base_images(progress: &Progress, engine: &Engine) -> anyhow::Result<()> {
    for (image, name) in OFFICIAL {
        if !is_present(engine, image) && !pull(progress, engine, image)? {
            ensure_debian(progress, engine)?;
            build(progress, engine, image, name)?;
        }
        let label = r#"{{index .Config.Labels "pgevents.stand-in"}}"#;
        let label = engine.ask(&["image", "inspect", "--format", label, image])?;
        if !label.is_empty() {
            println!("  {image} is a stand-in: {label}");
        }
    }
    Ok(())
}

/// Makes sure of [`DEBIAN`], in the same way.
///
/// # Errors
///
/// When it cannot be made.
pub fn ensure_debian(progress: &Progress, engine: &Engine) -> anyhow::Result<()> {
    if is_present(engine, DEBIAN) || pull(progress, engine, DEBIAN)? {
        return Ok(());
    }
    import_debian(progress, engine)
}

fn is_present(engine: &Engine, image: &str) -> bool {
    engine.ask(&["image", "inspect", image]).is_ok()
}

/// Whether the registry gave the image.
fn pull(progress: &Progress, engine: &Engine, image: &str) -> anyhow::Result<bool> {
    let name = format!("pull {image}");
    let outcome = progress.watch(&name, &mut engine.docker(&["pull", image]))?;
    let pulled = outcome.status.success();
    let remark = if pulled {
        ""
    } else {
        "no registry: Debian's packages instead"
    };
    progress.report(&name, pulled, outcome.took, remark);
    Ok(pulled)
}

fn import_debian(progress: &Progress, engine: &Engine) -> anyhow::Result<()> {
    packages::ensure_program(
        progress,
        "debootstrap",
        "makes a small Debian for base images",
    )?;
    let folder = tempfile::tempdir().context("make a folder for the image")?;
    let file = folder.path().join("debian.tar");
    let mut command = packages::administrator("sh")?;
    command
        .arg(sources().join("debian.sh"))
        .arg("bookworm")
        .arg(&file);
    progress.step("make a small Debian", &mut command)?;
    let file = file.to_string_lossy();
    let command = ["import", "--change", "CMD [\"bash\"]", &file, DEBIAN];
    progress.step(&format!("import {DEBIAN}"), &mut engine.docker(&command))?;
    Ok(())
}

fn build(progress: &Progress, engine: &Engine, image: &str, name: &str) -> anyhow::Result<()> {
    let context = tempfile::tempdir().context("make a folder for the image")?;
    for entry in fs::read_dir(sources().join(name)).context("read tests/stand-in")? {
        let entry = entry.context("read tests/stand-in")?;
        fs::copy(entry.path(), context.path().join(entry.file_name()))
            .context("copy tests/stand-in")?;
    }
    if name == "rust" {
        add_toolchain(progress, context.path())?;
    }
    let folder = context.path().to_string_lossy();
    let mut command = engine.docker(&["build", "--tag", image, &folder]);
    progress.step(&format!("make a stand-in for {image}"), &mut command)?;
    Ok(())
}

/// Puts the toolchain in use, without its documentation, into an image's context.
fn add_toolchain(progress: &Progress, context: &Path) -> anyhow::Result<()> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let output = output.context("ask rustc for its folder")?;
    let sysroot = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--exclude=./share",
        "--directory",
        &sysroot,
        "--file",
    ]);
    tar.arg(context.join("toolchain.tar")).arg(".");
    progress.step("copy the Rust toolchain", &mut tar)?;
    Ok(())
}

fn sources() -> PathBuf {
    dist::workspace().join("tests/stand-in")
}
