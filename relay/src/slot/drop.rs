use std::io::{IsTerminal, Write, stdin};

use super::SlotError;
use crate::{
    postgres::{SlotStatus, Sql},
    quantity::Bytes,
};

/// Drops a slot of this plugin that nobody reads, after a question unless `yes`.
pub(super) async fn run(
    sql: &Sql<'_>,
    name: &str,
    yes: bool,
    output: &mut impl Write,
) -> Result<(), SlotError> {
    let slot = name.to_owned();
    let Some(status) = SlotStatus::of(sql, name).await? else {
        return Err(SlotError::Missing(slot));
    };
    if !status.is_ours() {
        let plugin = status.plugin;
        return Err(SlotError::Foreign { slot, plugin });
    }
    if let Some(pid) = status.active_pid {
        return Err(SlotError::InUse { slot, pid });
    }
    if !yes && !confirmed(name, &status, output)? {
        return Err(SlotError::NotConfirmed(slot));
    }
    status.drop(sql, name).await?;
    writeln!(output, "slot {name} dropped").map_err(SlotError::Output)
}

/// Asks on a terminal. Nothing else runs in this process that the wait could hold up.
fn confirmed(name: &str, status: &SlotStatus, output: &mut impl Write) -> Result<bool, SlotError> {
    if !stdin().is_terminal() {
        return Ok(false);
    }
    let behind = Bytes(status.lag_bytes.unwrap_or_default());
    write!(
        output,
        "Dropping slot {name} gives up the changes in {behind} of WAL that it has not \
         acknowledged.\nType the slot's name to drop it: "
    )
    .and_then(|()| output.flush())
    .map_err(SlotError::Output)?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(SlotError::Output)?;
    Ok(answer.trim() == name)
}
