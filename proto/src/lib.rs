//! The wire contract between the output plugin `pgevents` and its readers.
//!
//! Frames are described by `pgevents.proto`. The plugin writes them with [`FrameEncoder`], the relay
//! reads them with [`Decoder`] and shows each change as the documented JSON event with [`EventJson`].
//! Nothing in this crate does I/O, and nothing in it trusts the bytes that it reads.
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod event_key;
mod hello;
mod json;
mod lsn;
mod relation;
mod table_list;
mod transaction;
mod wire;

pub use decode::{
    Change, DecodeError, Decoder, Event, FrameEvents, Message, RelationEntry, Row, Value,
};
pub use encode::{FRAME_TARGET_BYTES, FrameEncoder, Open, OutOfMemory, RowBitmaps};
pub use event_key::{EventKey, EventKeyPrefix};
pub use hello::{Hello, PROTOCOL_VERSION};
pub use json::EventJson;
pub use lsn::{Lsn, ParseLsnError};
pub use relation::{Column, Kind, MAX_COLUMNS, Relation, ReplicaIdentity};
pub use table_list::{TableList, TableListError, TableListFault, TablePattern};
pub use transaction::{Action, Begin, Commit, OmittedReason, PG_EPOCH_UNIX_MICROS};
