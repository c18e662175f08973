//! A client of PostgreSQL's streaming replication protocol, for any logical decoding plugin.
//! Source: PostgreSQL docs, "Streaming Replication Protocol" and "Message Flow".

mod command;
mod login;
mod probe;
mod reader;
mod status;

pub use command::start_replication;
pub use login::Session;
pub use probe::Probe;
pub use reader::{Message, Reader};
pub use status::{Progress, StatusTask};
