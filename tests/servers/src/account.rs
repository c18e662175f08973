//! The system account that a server runs as: PostgreSQL refuses root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{During, ServerError};
use super::guardian;

/// Who runs a server: the caller, or the server's own system user when the caller is root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    /// The account `user` for root, otherwise the caller's own.
    pub(super) fn of(user: &'static str, program: &Path) -> Result<Self, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").during(|| "read /etc/passwd".into())?;
        let entry = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let ids = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            (fields[0] == user).then_some(ids)
        });
        match entry {
            Some(ids) => Ok(Self { other: Some(ids) }),
            None => Err(ServerError::NoUser {
                user,
                program: program.to_owned(),
            }),
        }
    }

    /// A command that runs as this account.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Hands a file or folder to this account.
    pub(super) fn own(self, path: &Path) -> Result<(), ServerError> {
        match self.other {
            Some((uid, gid)) => {
                chown(path, Some(uid), Some(gid)).during(|| format!("chown {}", path.display()))
            }
            None => Ok(()),
        }
    }

    /// A new folder of this account below the system's folder for temporary files. It is removed
    /// with this process.
    pub(super) fn folder(self, prefix: &str) -> Result<PathBuf, ServerError> {
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .during(|| format!("make a folder {prefix}*"))?
            .keep();
        guardian::watch_folder(&folder);
        self.own(&folder)?;
        Ok(folder)
    }
}
