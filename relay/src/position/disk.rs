use std::{
    fmt::Debug,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use tokio::task::spawn_blocking;

/// Where files are kept: this machine's disk, or what stands in for it in a simulation.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// The first `longest` bytes of a file.
    ///
    /// # Errors
    ///
    /// It is not there, cannot be read, or is no text.
    fn read(&self, path: &Path, longest: u64) -> io::Result<String>;

    /// Creates a file, or replaces what is in it; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// It is not; what is there may be a part of it.
    fn write(&self, path: &Path, text: &str) -> io::Result<()>;

    /// Puts one file in the place of another; on the disk when this returns.
    ///
    /// # Errors
    ///
    /// It may or may not have happened.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// It is still there.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Runs what waits for the disk beside the event loop. Its end is awaited at any time or never;
    /// it runs all the same.
    fn beside<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn read(&self, path: &Path, longest: u64) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(longest).read_to_string(&mut text)?;
        Ok(text)
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        // The rename itself is on the disk when the folder is.
        let folder = to.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn beside<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let running = spawn_blocking(job);
        // A panic there is a write that failed.
        async { running.await.map_err(io::Error::other) }
    }
}
