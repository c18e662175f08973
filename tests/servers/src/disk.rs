//! A disk that is small enough to fill: a tmpfs, which only root can mount.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{During, ServerError};
use super::guardian;
use super::postgres::run;

/// A tmpfs over a folder, gone when the value is dropped or the process ends.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Whether this process may mount one: root outside of most containers.
    pub fn possible() -> bool {
        let folder = tempfile::tempdir();
        folder.is_ok_and(|folder| Self::over(folder.path(), 1 << 20).is_ok())
    }

    /// Mounts so many bytes over an empty folder.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] where mounting is not allowed.
    pub fn over(folder: &Path, bytes: u64) -> Result<Self, ServerError> {
        let size = format!("size={bytes},mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder);
        run(&mut mount)?;
        guardian::watch_mount(folder);
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes until nothing more fits.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when it ends in another way.
    pub fn fill(&self) -> Result<(), ServerError> {
        let file = self.filler();
        let zeros = vec![0; 64 * 1024];
        let filled = fs::File::create(&file).and_then(|mut file| {
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(full) if full.kind() == io::ErrorKind::StorageFull => return Ok(()),
                    Err(other) => return Err(other),
                }
            }
        });
        filled.during(|| format!("fill {}", file.display()))
    }

    /// Takes away what [`SmallDisk::fill`] has written.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when it is not there.
    pub fn clear(&self) -> Result<(), ServerError> {
        let file = self.filler();
        fs::remove_file(&file).during(|| format!("remove {}", file.display()))
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may still have files open; the mount goes when it closes them.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
