use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pgevents_relay::position;
use tokio::sync::oneshot;

/// A disk on which a process can die at any byte of a write. What was written before stays; a file
/// takes the place of another at once or not at all.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What the relay has given to be done beside its loop.
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
    /// Whether there is no room.
    full: bool,
    /// Whether a write has failed for want of room since somebody asked.
    failed: bool,
    /// So many bytes are written before the process dies; `None`: it lives.
    dies_after: Option<usize>,
}

impl Disk {
    /// Does the oldest thing that waits to be done; `false`: there is none.
    pub fn work(&self) -> bool {
        let job = self.lock().jobs.pop_front();
        job.map(|job| job()).is_some()
    }

    /// The process dies while it does the oldest thing, at this byte of what that writes, and with
    /// it everything that waits.
    pub fn dies(&self, byte: usize) {
        self.lock().dies_after = Some(byte);
        self.work();
        let mut state = self.lock();
        state.jobs.clear();
        state.dies_after = None;
    }

    /// Whether there is no room from now on.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Forgets what has failed.
    pub fn forget(&self) {
        self.lock().failed = false;
    }

    /// Whether a write has failed for want of room since then.
    pub fn has_failed(&self) -> bool {
        self.lock().failed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many of so many bytes are written; fewer if the process dies meanwhile.
    fn lives_through(&mut self, bytes: usize) -> usize {
        let Some(left) = &mut self.dies_after else {
            return bytes;
        };
        let written = bytes.min(*left);
        *left -= written;
        written
    }

    fn change(&mut self) -> io::Result<()> {
        match self.lives_through(1) {
            1 => Ok(()),
            _ => Err(io::Error::other("the process has died")),
        }
    }
}

impl position::Disk for Disk {
    fn read(&self, path: &Path, longest: u64) -> io::Result<String> {
        let state = self.lock();
        let bytes = state.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let longest = usize::try_from(longest).unwrap_or(usize::MAX);
        let bytes = bytes.get(..longest).unwrap_or(bytes).to_vec();
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        // A full disk takes some of it.
        let room = match state.full {
            true => text.len() / 2,
            false => text.len(),
        };
        let written = state.lives_through(room);
        let bytes = text.as_bytes()[..written].to_vec();
        state.files.insert(path.to_owned(), bytes);
        match written {
            written if written == text.len() => Ok(()),
            written if written == room => {
                state.failed = true;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Err(io::Error::other("the process has died")),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let bytes = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let removed = state.files.remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn beside<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let (done, end) = oneshot::channel();
        self.lock().jobs.push_back(Box::new(move || {
            // Nobody may wait for it any more.
            let _ = done.send(job());
        }));
        async { end.await.map_err(io::Error::other) }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("files", &self.files.len())
            .field("jobs", &self.jobs.len())
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}
