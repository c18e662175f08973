use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use pgevents_dev::dist::DistError;

/// Why a private server or the relay did not do what a test waits for. Each fails the test.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A build result or a server is missing; the message says the command to run.
    #[error(transparent)]
    Dist(#[from] DistError),
    /// A file, folder, port or process of the lab could not be made.
    #[error("{operation}")]
    Io {
        /// What was tried.
        operation: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A process ended while something was awaited from it.
    #[error("{name} ended ({status}) while the lab waited for {awaited}; its last lines:\n{tail}")]
    Ended {
        /// Which process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What was awaited.
        awaited: String,
        /// The end of its output.
        tail: String,
    },
    /// The awaited event did not come in time.
    #[error("{name}: no {awaited} within {patience:?}; its last lines:\n{tail}")]
    Late {
        /// Which process.
        name: String,
        /// What was awaited.
        awaited: String,
        /// How long.
        patience: Duration,
        /// The end of its output.
        tail: String,
    },
    /// A command-line tool of a server failed.
    #[error("run {command}: {stderr}")]
    Command {
        /// Program and arguments.
        command: String,
        /// What it printed.
        stderr: String,
    },
    /// The system has no such user; the server's package creates it.
    #[error("no user {user:?} in /etc/passwd to run {program:?} as")]
    NoUser {
        /// The missing user.
        user: &'static str,
        /// What should run.
        program: PathBuf,
    },
    /// PostgreSQL refused a connection or a statement of the lab itself.
    #[error("ask PostgreSQL")]
    Sql(#[from] tokio_postgres::Error),
}

/// Adds the operation to an I/O error.
pub trait During<T> {
    /// The same, with an error that names what was tried.
    ///
    /// # Errors
    ///
    /// What the system answered.
    fn during(self, operation: impl FnOnce() -> String) -> Result<T, ServerError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: impl FnOnce() -> String) -> Result<T, ServerError> {
        self.map_err(|source| ServerError::Io {
            operation: operation(),
            source,
        })
    }
}
