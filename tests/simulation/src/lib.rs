//! A simulation of the relay: its loop with all that belongs to it, as it ships, between a
//! walsender, a broker and a disk that are fakes, in virtual time. A seed decides over everything
//! that happens, so a failure can be run again.
//!
//! The relay reads real bytes of the replication protocol with its own reader, reports with its own
//! status task, and writes its own state file. The fakes lose, delay, cut and reorder whatever the
//! real ones may; the `World` moves one of its parts at a time, in an order that no real run would
//! find in years. The `Oracle` knows what was written and looks at every acknowledgement and at
//! every message that the broker takes.
#![forbid(unsafe_code)]

mod broker;
mod dice;
mod disk;
mod ends;
mod history;
mod link;
mod oracle;
mod plan;
mod run;
mod wal;
mod walsender;
mod world;

pub use history::Tally;
pub use run::{Violation, run};
