//! What a process of this machine has cost so far.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// CPU time of a process with one thread, user and system, in nanoseconds. Source: the first field
/// of `/proc/PID/schedstat`, Linux `Documentation/scheduler/sched-stats.rst`.
///
/// # Errors
///
/// When the process has ended.
pub fn cpu_time(pid: i32) -> anyhow::Result<Duration> {
    let file = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let field = text.split_whitespace().next().context("read schedstat")?;
    Ok(Duration::from_nanos(
        field.parse().context("read schedstat")?,
    ))
}

/// CPU time of a process with all its threads, also those that have ended, in steps of 10 ms.
/// Source: fields 14 and 15 of `/proc/PID/stat`, proc(5).
///
/// # Errors
///
/// When the process has ended.
pub fn cpu_time_of_threads(pid: i32) -> anyhow::Result<Duration> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    // The second field is a name in parentheses that may hold spaces.
    let (_, fields) = text.rsplit_once(')').context("read stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap_or(0_u64))
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Resident memory now, in bytes.
///
/// # Errors
///
/// When the process has ended.
pub fn resident_bytes(pid: i32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS")
}

/// Resident memory at its highest, in bytes.
///
/// # Errors
///
/// When the process has ended.
pub fn peak_bytes(pid: i32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM")
}

fn memory(pid: i32, field: &str) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        .with_context(|| format!("read {field} of {file}"))?;
    Ok(value * 1024)
}
