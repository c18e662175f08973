use std::io;

use pgevents_proto::DecodeError;

use crate::postgres::PostgresError;

/// Why a source gives no more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The connection, or a refusal of the server; what happens next is its own to say.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// What came breaks the contract, or is of another version; stop.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// Progress cannot be reported; reconnect.
    #[error("report progress to PostgreSQL")]
    Status(#[source] io::Error),
}
