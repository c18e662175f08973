//! A private system from the row to its event.

/// Starts it.
pub fn run(_once: bool) -> anyhow::Result<()> {
    anyhow::bail!("start the demo: not written yet")
}
