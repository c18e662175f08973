//! The release builds under test: `target/dist/pgNN/pgevents.so` and `target/dist/pgevents`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A missing piece that the user can put in place.
#[derive(Debug, thiserror::Error)]
pub enum DistError {
    /// Tests were started without the build that they test; run what the message says.
    #[error("{0} is not built: run `cargo dev test`, which builds it first (or `cargo dev dist`)")]
    NotBuilt(PathBuf),
    /// No PostgreSQL server of that major; `cargo dev` installs one.
    #[error("no PostgreSQL server found: run `cargo dev test`, which installs what it needs")]
    NoPostgres,
    /// `pg_config` exists but does not answer; nothing can be built or run with it.
    #[error("read the version of {0}")]
    PgConfig(PathBuf),
}

/// One installed PostgreSQL, known by its `pg_config`.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The program that describes the installation.
    pub pg_config: PathBuf,
    /// Folder of `postgres`, `initdb` and the like.
    pub bindir: PathBuf,
    /// Folder of the server's headers.
    pub include: PathBuf,
    /// Full version, for example `15.20`.
    pub version: String,
    /// Major version, for example 15.
    pub major: u32,
}

impl Installation {
    /// Asks `pg_config` who it is.
    ///
    /// # Errors
    ///
    /// [`DistError::PgConfig`] when it does not run or prints no version.
    pub fn of(pg_config: &Path) -> Result<Self, DistError> {
        let fault = || DistError::PgConfig(pg_config.to_owned());
        let ask = |flag: &str| -> Option<String> {
            let output = Command::new(pg_config).arg(flag).output().ok()?;
            output
                .status
                .success()
                .then(|| String::from_utf8_lossy(&output.stdout).trim().into())
        };
        // "PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"
        let line = ask("--version").ok_or_else(fault)?;
        let version = line.split_whitespace().nth(1).ok_or_else(fault)?.to_owned();
        let digits = version
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        let major = digits.parse().map_err(|_| fault())?;
        let bindir = ask("--bindir").ok_or_else(fault)?.into();
        let include = ask("--includedir-server").ok_or_else(fault)?.into();
        Ok(Self {
            pg_config: pg_config.to_owned(),
            bindir,
            include,
            version,
            major,
        })
    }

    /// The installation that tests use: the one that `PGEVENTS_TEST_PG_CONFIG` names, else the
    /// newest of Debian's layout whose headers are installed too, else the first one in `PATH`.
    ///
    /// # Errors
    ///
    /// [`DistError::NoPostgres`] when there is none, [`DistError::PgConfig`] when it is broken.
    pub fn find() -> Result<Self, DistError> {
        if let Some(named) = env::var_os("PGEVENTS_TEST_PG_CONFIG") {
            return Self::of(Path::new(&named));
        }
        match (13..=18).rev().find_map(Self::of_major) {
            Some(found) => Ok(found),
            None => Self::of(&program("pg_config").ok_or(DistError::NoPostgres)?),
        }
    }

    /// Debian's installation of one major, when its server and its headers are there.
    pub fn of_major(major: u32) -> Option<Self> {
        let bindir = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        let complete = ["pg_config", "postgres", "initdb"]
            .iter()
            .all(|p| bindir.join(p).exists());
        let headers = format!("/usr/include/postgresql/{major}/server/postgres.h");
        (complete && Path::new(&headers).exists())
            .then(|| Self::of(&bindir.join("pg_config")).ok())
            .flatten()
    }
}

/// Names another folder with builds, for a process that is to use those.
pub const FOLDER: &str = "PGEVENTS_DIST";

/// Where `cargo dev dist` puts its results, or the folder that [`FOLDER`] names.
pub fn folder() -> PathBuf {
    env::var_os(FOLDER).map_or_else(|| target().join("dist"), PathBuf::from)
}

/// Where builds go that are quick and do not ship.
pub fn quick_folder() -> PathBuf {
    target().join("demo")
}

/// The plugin for one major.
pub fn plugin(major: u32) -> PathBuf {
    folder().join(format!("pg{major}")).join("pgevents.so")
}

/// The plugin with faults on purpose, which only tests use: of the same name, so that a relay takes
/// it, and outside of what ships.
pub fn faulty_plugin(major: u32) -> PathBuf {
    let folder = target().join("faults").join(format!("pg{major}"));
    folder.join("pgevents.so")
}

/// Where `cargo dev mutants` keeps what it builds with a fault.
pub fn mutants() -> PathBuf {
    target().join("mutants")
}

/// The patch that gives the plugin its faults on purpose.
pub fn patch_of_faults() -> PathBuf {
    workspace().join("tests/faults/plugin.patch")
}

/// The patches that plant faults in the relay and the plugin.
pub fn patches_of_mutants() -> PathBuf {
    workspace().join("tests/mutants")
}

/// The relay, or the one that `PGEVENTS_TEST_RELAY` names.
pub fn relay() -> PathBuf {
    let named = env::var_os("PGEVENTS_TEST_RELAY");
    named.map_or_else(shipped_relay, PathBuf::from)
}

/// The relay that ships.
pub fn shipped_relay() -> PathBuf {
    folder().join("pgevents")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.ancestors().nth(2);
    root.unwrap_or(crate_folder).to_owned()
}

/// The path of a build result, or the error that says how to get it.
///
/// # Errors
///
/// [`DistError::NotBuilt`] when the file is not there.
pub fn built(path: PathBuf) -> Result<PathBuf, DistError> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(DistError::NotBuilt(path))
    }
}

/// The first file of that name in `PATH` or the administrator's folders.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
