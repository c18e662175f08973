//! Installs from Debian's packages what a command needs and the machine lacks.

mod archive;
mod tree;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use pgevents_dev::dist::{self, Installation};

use pgevents_dev::progress::Progress;

/// What the packages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To build the plugin.
    Headers,
    /// To build the plugin and to run PostgreSQL and RabbitMQ.
    Servers,
}

/// Asks init scripts not to start services, as long as the process that wrote it lives. Debian's
/// packages consult it (`invoke-rc.d`, `deb-systemd-invoke`), so no server of the system starts.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes sure of everything that `purpose` needs and gives the PostgreSQL to use: the system's own,
/// or that of a major version, which is another Debian release's where the system has none.
///
/// # Errors
///
/// When something is missing and cannot be installed.
pub fn ensure(
    progress: &Progress,
    major: Option<u32>,
    purpose: Use,
) -> anyhow::Result<Installation> {
    let mut missing = compiler_packages();
    if purpose == Use::Servers && !Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() {
        missing.push((
            "rabbitmq-server".into(),
            "the broker that tests and demo run",
        ));
    }
    let found = match major {
        Some(major) => Installation::of_major(major),
        None => Installation::find().ok().filter(is_complete),
    };
    if let Some(installation) = found {
        install(progress, &missing)?;
        return Ok(installation);
    }
    let of_system = distribution_major(progress)?;
    let wanted = major.unwrap_or(of_system);
    if wanted != of_system && !is_available(&format!("postgresql-{wanted}"))? {
        if !has_account()? {
            let reason = "the account that servers run as";
            missing.push(("postgresql-common".into(), reason));
        }
        install(progress, &missing)?;
        return tree::ensure(progress, wanted);
    }
    // Server and headers come together, so that they are of one minor version.
    let server = format!("postgresql-{wanted}");
    let headers = format!("postgresql-server-dev-{wanted}");
    missing.push((server, "the server that tests and demo run"));
    missing.push((
        headers,
        "the headers that the plugin is built with, of the same version",
    ));
    install(progress, &missing)?;
    Installation::of_major(wanted).with_context(|| {
        format!("PostgreSQL {wanted} with server headers is not in /usr/lib/postgresql")
    })
}

/// Makes sure of what is needed to build the plugin with headers that are already there.
///
/// # Errors
///
/// When something is missing and cannot be installed.
pub fn ensure_compiler(progress: &Progress) -> anyhow::Result<()> {
    install(progress, &compiler_packages())
}

/// Makes sure of other output plugins for that installation, which pgevents is compared with or
/// replaces.
///
/// # Errors
///
/// When one is missing and cannot be installed.
pub fn ensure_plugins(
    progress: &Progress,
    postgres: &Installation,
    names: &[&str],
) -> anyhow::Result<()> {
    let libraries = postgres.bindir.with_file_name("lib");
    let missing: Vec<Package> = names
        .iter()
        .filter(|name| !libraries.join(format!("{name}.so")).exists())
        .map(|name| {
            let package = format!("postgresql-{}-{name}", postgres.major);
            (package, "another output plugin")
        })
        .collect();
    install(progress, &missing)
}

/// Makes sure of one program that a package of the same name holds.
///
/// # Errors
///
/// When it is missing and cannot be installed.
pub fn ensure_program(progress: &Progress, name: &str, reason: &'static str) -> anyhow::Result<()> {
    ensure_program_of(progress, name, name, reason)
}

/// Makes sure of one program of a package.
///
/// # Errors
///
/// When it is missing and cannot be installed.
pub fn ensure_program_of(
    progress: &Progress,
    program: &str,
    package: &str,
    reason: &'static str,
) -> anyhow::Result<()> {
    if dist::program(program).is_some() {
        return Ok(());
    }
    install(progress, &[(package.into(), reason)])
}

/// Makes sure of what single tests meet beside the servers: the monitoring that reads the relay's
/// numbers and knows the alert rules, and the plugin whose slots are swapped.
///
/// # Errors
///
/// When one is missing and cannot be installed.
pub fn ensure_peers(progress: &Progress, postgres: &Installation) -> anyhow::Result<()> {
    ensure_plugins(progress, postgres, &["wal2json"])?;
    ensure_program(
        progress,
        "prometheus",
        "reads the numbers, checks the alerts",
    )
}

type Package = (String, &'static str);

fn compiler_packages() -> Vec<Package> {
    let mut missing = Vec::new();
    if dist::program("cc").is_none() {
        missing.push(("gcc".into(), "the linker of Rust programs"));
        missing.push(("libc6-dev".into(), "the C library to link with"));
    }
    if !has_libclang() {
        missing.push((
            "libclang-dev".into(),
            "reads PostgreSQL's headers for the plugin",
        ));
    }
    missing
}

fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    libraries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .any(|llvm| {
            // The library alone is not enough: its own headers (stddef.h) are a package too.
            let folder = llvm.path().join("lib");
            folder.join("libclang.so").exists() && folder.join("clang").exists()
        })
}

/// Whether server and headers are there. Debian's libpq-dev brings a `pg_config` that describes a
/// server's folders whether anything is in them or not.
fn is_complete(installation: &Installation) -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|program| installation.bindir.join(program).exists())
        && installation.include.join("postgres.h").exists()
}

/// Whether there is the account `postgres`, as which root runs servers.
fn has_account() -> anyhow::Result<bool> {
    let accounts = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    Ok(accounts.lines().any(|line| line.starts_with("postgres:")))
}

/// Whether this system's package lists have a package.
fn is_available(package: &str) -> anyhow::Result<bool> {
    let output = Command::new("apt-cache").args(["show", package]).output();
    Ok(output.context("find packages")?.status.success())
}

/// The major version that the distribution's package `postgresql` stands for.
fn distribution_major(progress: &Progress) -> anyhow::Result<u32> {
    let ask = || -> anyhow::Result<Option<u32>> {
        let output = Command::new("apt-cache")
            .args(["show", "postgresql"])
            .output();
        let output = output.context("find packages: this is not a Debian-like system")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let depends = text
            .lines()
            .filter_map(|line| line.strip_prefix("Depends: "));
        let names = depends.flat_map(|line| line.split(", "));
        Ok(names
            .filter_map(|name| name.strip_prefix("postgresql-")?.parse().ok())
            .max())
    };
    if let Some(major) = ask()? {
        return Ok(major);
    }
    update(progress)?;
    ask()?.context("find the package `postgresql`: it is in no package list of this system")
}

fn install(progress: &Progress, missing: &[Package]) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing from this system's package archive:");
    for (name, reason) in missing {
        println!("  {name:<28} {reason}");
    }
    update(progress)?;
    let _policy = Policy::deny_services()?;
    let mut command = administrator("apt-get")?;
    command.args(["install", "--yes", "--no-install-recommends"]);
    command.args(missing.iter().map(|(name, _)| name));
    progress.step("install packages", &mut command)?;
    Ok(())
}

fn update(progress: &Progress) -> anyhow::Result<()> {
    progress.step(
        "read package lists",
        administrator("apt-get")?.arg("update"),
    )?;
    Ok(())
}

/// A command that runs as root, by sudo where needed.
///
/// # Errors
///
/// When this is neither root nor a system with sudo.
pub fn administrator(program: &str) -> anyhow::Result<Command> {
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", program];
    if !rustix::process::geteuid().is_root() {
        if dist::program("sudo").is_none() {
            bail!("install packages: neither root nor sudo here; install the packages named above");
        }
        // Without a terminal nobody can type a password: fail with sudo's own message.
        let ask = std::io::stdin().is_terminal();
        words.splice(
            0..0,
            if ask {
                vec!["sudo"]
            } else {
                vec!["sudo", "--non-interactive"]
            },
        );
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

/// Keeps the packages' services from starting while it lives.
#[derive(Debug)]
struct Policy {
    written: Option<PathBuf>,
}

impl Policy {
    fn deny_services() -> anyhow::Result<Self> {
        let policy = Path::new(POLICY);
        if policy.exists() {
            return Ok(Self { written: None });
        }
        // Harmless if it stays behind: it denies only while this process lives.
        let script = format!(
            "#!/bin/sh\n[ -d /proc/{} ] && exit 101\nexit 0\n",
            std::process::id()
        );
        if rustix::process::geteuid().is_root() {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o755)
                .open(policy)
                .with_context(|| format!("write {POLICY}"))?;
            file.write_all(script.as_bytes())
                .with_context(|| format!("write {POLICY}"))?;
        } else {
            let mut file = tempfile::NamedTempFile::new().context("write a temporary file")?;
            file.write_all(script.as_bytes())
                .context("write a temporary file")?;
            fs::set_permissions(file.path(), Permissions::from_mode(0o755))?;
            let mut copy = administrator("install")?;
            copy.args(["-m", "755"]).arg(file.path()).arg(policy);
            if !copy
                .status()
                .with_context(|| format!("write {POLICY}"))?
                .success()
            {
                bail!("write {POLICY}");
            }
        }
        Ok(Self {
            written: Some(policy.to_owned()),
        })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(policy) = &self.written
            && let Ok(mut remove) = administrator("rm")
        {
            // What stays behind denies nothing once this process has ended.
            let _ = remove.arg("-f").arg(policy).status();
        }
    }
}
