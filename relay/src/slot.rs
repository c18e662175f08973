//! `pgevents slot`: makes, shows and drops a replication slot.

mod drop;
mod error;
mod status;

use std::io::Write;

pub use error::SlotError;
pub use status::Status;

use crate::postgres::{Slot, SlotStatus, SlotTarget, Sql, check};

/// What to do with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create it.
    Create {
        /// Whether standby servers keep it too.
        failover: bool,
    },
    /// Show it.
    Status {
        /// Whether as one JSON object.
        json: bool,
        /// Seconds to watch how fast WAL is written.
        sample: u32,
    },
    /// Drop it.
    Drop {
        /// Whether nobody is asked.
        yes: bool,
    },
}

/// Does what was asked, and prints what there is to see to `output`.
///
/// # Errors
///
/// Why it was not done; [`SlotError::exit`] holds the exit code.
pub async fn run(
    action: Action,
    target: &SlotTarget,
    output: &mut impl Write,
) -> Result<(), SlotError> {
    let sql = Sql::connect(&target.postgres).await?;
    match action {
        Action::Create { failover } => create(&sql, &target.slot, failover, output).await,
        Action::Status { json, sample } => {
            let status = Status::look(&sql, &target.slot, sample).await?;
            match json {
                true => writeln!(output, "{}", status.json()),
                false => write!(output, "{status}"),
            }
            .map_err(SlotError::Output)?;
            match status.slot.wal_status.as_str() {
                "lost" => Err(SlotError::Lost(target.slot.clone())),
                _ => Ok(()),
            }
        }
        Action::Drop { yes } => drop::run(&sql, &target.slot, yes, output).await,
    }
}

async fn create(
    sql: &Sql<'_>,
    name: &str,
    failover: bool,
    output: &mut impl Write,
) -> Result<(), SlotError> {
    check(sql).await?;
    if let Some(found) = SlotStatus::of(sql, name).await? {
        return Err(SlotError::Exists {
            slot: name.to_owned(),
            plugin: found.plugin,
        });
    }
    let slot = Slot::create(sql, name, failover).await?;
    let from = slot.confirmed_flush;
    writeln!(output, "slot {name} made: it holds changes from {from} on").map_err(SlotError::Output)
}
