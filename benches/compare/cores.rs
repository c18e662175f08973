//! Which cores of the machine this process, and what it starts from now on, may use.

use std::fs;
use std::thread::available_parallelism;

use anyhow::{Context, bail};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Some of the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The last one.
    Last,
    /// All but the last one.
    Others,
}

/// Confines every thread of this process.
///
/// # Errors
///
/// When there is but one core, or the kernel refuses.
pub fn confine(part: Part) -> anyhow::Result<()> {
    // All cores, whatever this process is confined to now.
    let online = fs::read_to_string("/sys/devices/system/cpu/online").context("read the cores")?;
    let last = online.trim().rsplit(['-', ',']).next().unwrap_or_default();
    let last: usize = last.parse().context("read the cores")?;
    if last == 0 {
        bail!("this machine has {} core", available_parallelism()?);
    }
    let mut cores = CpuSet::new();
    match part {
        Part::Last => cores.set(last),
        Part::Others => (0..last).for_each(|core| cores.set(core)),
    }
    for task in fs::read_dir("/proc/self/task").context("list the threads")? {
        let name = task?.file_name();
        let thread = name.to_str().and_then(|name| name.parse().ok());
        let thread = thread
            .and_then(Pid::from_raw)
            .context("a thread's number")?;
        sched_setaffinity(Some(thread), &cores).context("confine a thread to cores")?;
    }
    Ok(())
}
