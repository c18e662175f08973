use std::io;

use crate::{
    exit::{Exit, Fate},
    postgres::PostgresError,
};

/// Why `pgevents slot` did not do what was asked. Nothing was changed; [`SlotError::exit`] says how
/// the process ends.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The server cannot be reached, or it refuses.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// There is no such slot.
    #[error("slot {0:?} does not exist: check PGSLOT, or run: pgevents slot create")]
    Missing(String),
    /// There is one of that name already.
    #[error(
        "slot {slot:?} exists already (plugin {plugin:?}): look at it with pgevents slot status"
    )]
    Exists {
        /// The slot.
        slot: String,
        /// Its output plugin.
        plugin: String,
    },
    /// The server has removed WAL that the slot needed.
    #[error(
        "slot {0:?} is lost, changes are missing: run pgevents slot drop, start anew, and raise \
         max_slot_wal_keep_size"
    )]
    Lost(String),
    /// The slot is another program's.
    #[error(
        "slot {slot:?} belongs to {plugin:?}, not to pgevents, and was left alone; if that is \
         meant, run: SELECT pg_drop_replication_slot('{slot}');"
    )]
    Foreign {
        /// The slot.
        slot: String,
        /// Its output plugin; empty for a physical slot.
        plugin: String,
    },
    /// A process reads the slot.
    #[error("slot {slot:?} is read by process {pid} of the server: stop its relay first")]
    InUse {
        /// The slot.
        slot: String,
        /// The walsender.
        pid: i32,
    },
    /// Nobody can be asked, or the answer was no.
    #[error(
        "slot {0:?} was not dropped: answer with its name, or use --yes where nobody can answer"
    )]
    NotConfirmed(String),
    /// The result cannot be printed.
    #[error("write to standard output")]
    Output(#[source] io::Error),
}

impl SlotError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Postgres(error) => match error.fate() {
                Fate::Stop(exit) => exit,
                // A single command does not try again.
                Fate::Retry | Fate::Wait => Exit::Configuration,
            },
            Self::Missing(_) => Exit::SlotMissing,
            Self::Lost(_) => Exit::SlotLost,
            Self::Exists { .. }
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::NotConfirmed(_)
            | Self::Output(_) => Exit::Configuration,
        }
    }
}
