//! A sign of life for containers, which have no shell to look for one: while the relay streams or
//! waits as standby, and while the consumer waits for events, a file's time of change is kept
//! young. `pgevents health` looks at it. The one thread that does the work also keeps the file, so
//! a loop that hangs shows too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use tokio::{task::JoinHandle, time::sleep};
use tracing::warn;

/// How often the file is touched.
const BEAT: Duration = Duration::from_secs(5);

/// Age at which the file says that nothing works any more: a reconnection is shorter.
const TOO_OLD: Duration = Duration::from_secs(30);

/// The file, process-wide as the log is; `None`: none is wanted.
static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Why the process that keeps the file does not count as healthy; exit code 1 of `pgevents health`.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Neither started with a file nor asked about one; set the variable for both.
    #[error("PGEVENTS_HEALTH_FILE is not set: there is nothing to look at")]
    NoFile,
    /// There is no file: nothing has worked since the start.
    #[error("read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// There is an old file: something has worked, but does no longer.
    #[error("last sign of life {seconds} s ago")]
    Old {
        /// Age of the file.
        seconds: u64,
    },
}

/// Names the file that later [`working`] keeps young. The first call counts.
pub fn start(file: Option<String>) {
    let _ = FILE.set(file.map(PathBuf::from));
}

/// Keeps the file young until the value is dropped.
#[must_use]
pub fn working() -> Working {
    let file = FILE.get().and_then(Option::as_deref);
    Working(file.map(|file| tokio::spawn(beat(file))))
}

/// A stretch of time in which the process does its work.
#[derive(Debug)]
pub struct Working(Option<JoinHandle<()>>);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Whether the process that keeps `file` has done its work within the last 30 seconds.
///
/// # Errors
///
/// It has not.
pub fn check(file: Option<String>) -> Result<(), Unhealthy> {
    let path = PathBuf::from(file.ok_or(Unhealthy::NoFile)?);
    let changed = fs::metadata(&path).and_then(|found| found.modified());
    let changed = changed.map_err(|source| Unhealthy::Unreadable { path, source })?;
    // A clock that was set back makes the file come from the future, which is young enough.
    let age = SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default();
    if age > TOO_OLD {
        let seconds = age.as_secs();
        return Err(Unhealthy::Old { seconds });
    }
    Ok(())
}

async fn beat(file: &Path) {
    loop {
        // A few bytes, and nobody waits for the disk to have them.
        if let Err(error) = fs::write(file, "working\n") {
            warn!("write PGEVENTS_HEALTH_FILE {}: {error}", file.display());
            return;
        }
        sleep(BEAT).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn check_at_age(age: Duration) -> Result<(), Unhealthy> {
        let name = format!("pgevents-health-{}-{}", std::process::id(), age.as_secs());
        let path = std::env::temp_dir().join(name);
        let file = File::create(&path).expect("write a temporary file");
        file.set_modified(SystemTime::now() - age)
            .expect("set its time of change");
        let outcome = check(Some(path.to_string_lossy().into_owned()));
        fs::remove_file(path).expect("remove it");
        outcome
    }

    #[test]
    fn a_young_file_is_health_and_an_old_one_is_not() {
        assert!(check_at_age(Duration::from_secs(1)).is_ok());
        assert!(matches!(
            check_at_age(Duration::from_secs(60)),
            Err(Unhealthy::Old { seconds: 60 })
        ));
    }

    #[test]
    fn no_file_is_no_health() {
        assert!(matches!(check(None), Err(Unhealthy::NoFile)));
        let missing = Some("/nonexistent/health".to_owned());
        assert!(matches!(check(missing), Err(Unhealthy::Unreadable { .. })));
    }

    #[tokio::test]
    async fn work_keeps_the_file_young() {
        let path = std::env::temp_dir().join(format!("pgevents-health-{}", std::process::id()));
        let name = Some(path.to_string_lossy().into_owned());
        start(name.clone());
        let working = working();
        tokio::task::yield_now().await;
        assert!(check(name).is_ok());
        drop(working);
        fs::remove_file(path).expect("remove it");
    }
}
