//! Base images where no image registry can be reached: Debian's packages under the official names.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use pgevents_dev::dist;
use pgevents_dev::engine::Engine;

use crate::packages;
use pgevents_dev::progress::Progress;

/// The base of the stand-ins, and where packages are tried.
pub const DEBIAN: &str = "debian:bookworm-slim";

/// The official images that the Dockerfiles and `docker-compose.yml` name, with the folder of the
/// stand-in in `tests/stand-in`.
const OFFICIAL: [(&str, &str); 3] = [
    ("rust:1.95-bookworm", "rust"),
    ("postgres:15-bookworm", "postgres"),
    ("rabbitmq:4-management", "rabbitmq"),
];

/// The labels of a stand-in: what it is, and the files that it was made from.
const STAND_IN: &str = "pgevents.stand-in";
const RECIPE: &str = "pgevents.stand-in.recipe";

/// Makes sure of every base image: already there, pulled, or else made from Debian's packages. A
/// stand-in is made again when its files have changed. Says which ones are stand-ins, each time.
///
/// # Errors
///
/// When a stand-in cannot be made.
pub fn ensure_base_images(progress: &Progress, engine: &Engine) -> anyhow::Result<()> {
    for (image, name) in OFFICIAL {
        let recipe = recipe(name)?;
        let wanted = if is_present(engine, image) {
            !label(engine, image, STAND_IN)?.is_empty() && label(engine, image, RECIPE)? != recipe
        } else {
            !pull(progress, engine, image)?
        };
        if wanted {
            ensure_debian(progress, engine)?;
            build(progress, engine, image, name, &recipe)?;
        }
        let stand_in = label(engine, image, STAND_IN)?;
        if !stand_in.is_empty() {
            println!("  {image} is a stand-in: {stand_in}");
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

/// A label of an image; empty if it has none of that name.
fn label(engine: &Engine, image: &str, name: &str) -> anyhow::Result<String> {
    let format = format!("{{{{index .Config.Labels \"{name}\"}}}}");
    Ok(engine.ask(&["image", "inspect", "--format", &format, image])?)
}

/// A number for the files that a stand-in is made from: another one when they change.
fn recipe(name: &str) -> anyhow::Result<String> {
    let files = fs::read_dir(sources().join(name)).context("read tests/stand-in")?;
    let mut files = files
        .map(|file| Ok(file?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()
        .context("read tests/stand-in")?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(&fs::read(file).context("read tests/stand-in")?);
    }
    Ok(format!("{:016x}", hasher.finish()))
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

fn build(
    progress: &Progress,
    engine: &Engine,
    image: &str,
    name: &str,
    recipe: &str,
) -> anyhow::Result<()> {
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
    let label = format!("{RECIPE}={recipe}");
    let mut command = engine.docker(&["build", "--label", &label, "--tag", image, &folder]);
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
