//! A simulation of the relay: its real core, between a walsender and a broker that are fakes, in
//! virtual time. A seed decides over everything that happens, so a failure can be run again.
//!
//! The fakes lose, delay and reorder whatever the real ones may; the [`World`] moves one of its parts
//! at a time, in an order that no real run would find in years. The `Oracle` knows what was written
//! and looks at every acknowledgement and at every message that the broker takes.
#![forbid(unsafe_code)]

mod broker;
mod dice;
mod history;
mod oracle;
mod plan;
mod relay;
mod wal;
mod walsender;
mod world;

pub use history::Tally;
pub use world::{Violation, World};
