//! Everything that touches a raw pointer of PostgreSQL's, and every difference between majors.
//!
//! The wrappers borrow for the length of one callback. What makes them sound is said once here:
//! PostgreSQL calls an output plugin from one thread, one callback at a time, with pointers that
//! stay valid until the callback returns (PostgreSQL docs, "Logical Decoding Output Plugins").

mod catalog;
mod context;
mod datum;
mod encoding;
mod entry;
mod error;
mod frame_memory;
mod invalidation;
mod memory;
mod output;
mod reserve;
mod salvage;
mod settings;
mod table;
mod tuple;
mod txn;

pub use context::{Context, GivenOption, MAX_OPTION_BYTES, PLUGIN_REPORTS_PROGRESS};
pub use datum::{Varlena, c_string, fixed, payload, same_payload, varlena};
pub use encoding::{Encoding, client_encoding, clip, server_text, to_utf8};
pub use entry::{LogicalMessage, OutputPlugin, register};
pub use error::{check_for_interrupts, unless_error};
pub use frame_memory::Frame;
pub use invalidation::Invalidations;
pub use memory::MemoryContext;
pub use output::{OutputFunction, TypeOutput, composite_attributes, has_json_cast};
pub use reserve::{raise_if_used, raise_out_of_memory};
pub use salvage::salvage;
pub use settings::{PinnedSettings, TimeZone, server_version_num, utc};
pub use table::{Attribute, Table};
pub use tuple::{DeformedRow, RowAction, RowChange};
pub use txn::Txn;
