use std::time::Duration;

use crate::{
    delivery::Policy,
    position::{LocalDisk, StateFile},
};

/// What the loop has to know, whatever its ends are.
#[derive(Clone, Debug)]
pub struct Plan<D = LocalDisk> {
    /// Slot, `^[a-z0-9_]{1,63}$`.
    pub slot: String,
    /// Database.
    pub database: String,
    /// What is asked of the source, as a number: see [`crate::position::Position`].
    pub asked: u64,
    /// What is decided about delivery.
    pub policy: Policy,
    /// Longest time that a clean stop may take.
    pub shutdown_timeout: Duration,
    /// What keeps the acknowledged position across restarts; `None`: the slot alone does.
    pub state_file: Option<StateFile<D>>,
    /// Whether to go on where changes may be missing.
    pub accept_gap: bool,
    /// Whether to tell consumers then.
    pub gap_record: bool,
}
