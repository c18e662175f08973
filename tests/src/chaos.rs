//! The fault campaign: real servers, a writer, one relay, one consumer, and a fault after the
//! other.
//!
//! What must hold, and who looks:
//!
//! | rule | looked at by |
//! |---|---|
//! | nothing committed is lost | [`checker`], against two slots read on their own (`oracle.rs`) |
//! | no gap at any moment, first occurrences in commit order | [`checker`], at every message |
//! | repeats are byte-identical with the same `message_id` | [`checker`], at every message |
//! | repeats after a fault are bounded | [`campaign`], every round |
//! | the slot is never past what the broker has | `fault/relay.rs`, while no relay works |
//! | PostgreSQL restarts only when the campaign makes it | [`campaign`], every round, from its log |
//! | the relay's memory is bounded | [`campaign`], every round |
//! | where the relay must stop, code and one line say why | the fault itself |

pub mod campaign;
pub mod checker;
mod chronicle;
mod error;
mod fault;
mod lane;
mod ledger;
mod load;
mod oracle;
mod report;
mod schedule;
mod stage;
mod violation;
mod witness;

pub use self::error::ChaosError;
pub use self::fault::Fault;
pub use self::lane::{CutPoint, Lane, Side};
pub use self::report::{Report, Round};
pub use self::schedule::{Deed, Schedule};
pub use self::violation::Violation;
