//! The plugin that does nothing, built for the PostgreSQL in use.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use pgevents_tests::dist::{self, Installation};

/// Name of the plugin.
pub const NAME: &str = "pgevents_floor";

/// Compiles the plugin and gives its folder, one that no shipped file is in.
///
/// # Errors
///
/// When there is no C compiler, or the server's headers are missing.
pub fn build(postgres: &Installation) -> anyhow::Result<PathBuf> {
    let folder = dist::target().join(format!("bench/pg{}", postgres.major));
    fs::create_dir_all(&folder).with_context(|| format!("make folder {}", folder.display()))?;
    let headers = Command::new(&postgres.pg_config)
        .arg("--includedir-server")
        .output()
        .context("ask pg_config for the server's headers")?;
    let headers = String::from_utf8_lossy(&headers.stdout).trim().to_owned();
    let source = dist::workspace().join("benches/floor/floor.c");
    let compiled = Command::new("cc")
        .args([
            "-O2", "-fPIC", "-shared", "-Wall", "-isystem", &headers, "-o",
        ])
        .arg(folder.join(format!("{NAME}.so")))
        .arg(source)
        .output()
        .context("start cc")?;
    if !compiled.status.success() {
        bail!(
            "compile the floor: {}",
            String::from_utf8_lossy(&compiled.stderr)
        );
    }
    Ok(folder)
}
