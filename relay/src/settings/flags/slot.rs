use clap::{Args, Subcommand};

use super::{LogArgs, PostgresArgs};

/// Flags of `slot` as typed.
#[derive(Args, Debug)]
pub struct SlotArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: SlotCommand,
}

/// The subcommands of `slot`.
#[derive(Debug, Subcommand)]
pub enum SlotCommand {
    /// Makes the slot; changes that commit from now on will be sent.
    Create {
        /// Which slot.
        #[command(flatten)]
        which: WhichSlot,
        /// Keep the slot on standby servers too, so that it outlives a failover (PostgreSQL 17
        /// and later, with sync_replication_slots on the standby)
        #[arg(long)]
        failover: bool,
    },
    /// Shows who reads the slot, how far behind it is, and when it will be lost.
    Status {
        /// Which slot.
        #[command(flatten)]
        which: WhichSlot,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
        /// Seconds to watch how fast WAL is written, 0 to 60; 0: not at all
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=60), value_name = "SECONDS")]
        sample: u32,
    },
    /// Drops the slot: changes that were not acknowledged are gone for its readers.
    Drop {
        /// Which slot.
        #[command(flatten)]
        which: WhichSlot,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl SlotCommand {
    /// The slot that it is about.
    pub fn which(&self) -> &WhichSlot {
        match self {
            Self::Create { which, .. } | Self::Status { which, .. } | Self::Drop { which, .. } => {
                which
            }
        }
    }
}

/// A slot and the server that has it.
#[derive(Args, Debug, Default)]
pub struct WhichSlot {
    /// PostgreSQL: where and who.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Replication slot; a-z, 0-9 and _
    #[arg(
        long,
        alias = "pg_replication_slot",
        env = "PGSLOT",
        value_name = "NAME"
    )]
    pub pgslot: Option<String>,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}
