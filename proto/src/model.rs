//! What passes between PostgreSQL and a queue, whoever reads it and however it is written: it knows
//! neither bytes on a wire nor JSON.

mod change;
mod entry;
mod event;
mod hello;
mod key;
mod lsn;
mod relation;
mod row;
mod transaction;

pub use change::{Action, Change, Message};
pub use entry::RelationEntry;
pub use event::Event;
pub use hello::Hello;
pub use key::{EventKey, EventKeyPrefix};
pub use lsn::{Lsn, ParseLsnError};
pub use relation::{Column, Kind, MAX_COLUMNS, Relation, ReplicaIdentity};
pub use row::{Cell, OmittedReason, Row, Value};
pub use transaction::{Begin, Commit, PG_EPOCH_UNIX_MICROS};

/// The buffer could not grow. The plugin turns it into PostgreSQL's out-of-memory ERROR: Rust's own
/// reaction, an abort, would restart the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grow frame buffer: out of memory")]
pub struct OutOfMemory;
