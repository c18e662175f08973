//! Counting with valgrind.

use std::process::Command;

use anyhow::{Context, bail};

use super::case::Case;

/// How often a frame is worked through beyond the first time, which has the start-up in it.
const TIMES: u32 = 20;

/// Instructions for one row of a case.
///
/// # Errors
///
/// When valgrind is missing or fails.
pub fn per_row(case: Case) -> anyhow::Result<f64> {
    let (few, many) = (instructions(case, 1)?, instructions(case, 1 + TIMES)?);
    let rows = case.rows() * u64::from(TIMES);
    Ok(many.saturating_sub(few) as f64 / rows as f64)
}

fn instructions(case: Case, times: u32) -> anyhow::Result<u64> {
    let this = std::env::current_exe().context("find this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["repeat", &case.name(), &times.to_string()])
        .output()
        .context("start valgrind (Debian's package valgrind)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind: {}", said.trim());
    }
    // "==123== Collected : 1234567"
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = line.context("valgrind printed no count")?;
    number.trim().parse().context("read valgrind's count")
}
