use std::{io, path::PathBuf};

use super::{Postgres, PostgresError, passfile};
use crate::{
    exit::Exit,
    secret::{Secret, first_line},
};

/// Where the role's password comes from. Files are read at each connect, so that a password that
/// was changed counts without a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// There is none: the server must not ask for one.
    None,
    /// It was given.
    Given(Secret),
    /// The first line of a file.
    File(PathBuf),
    /// A file of passwords as libpq has it. One that nobody has named need not be there.
    Passfile {
        /// The file.
        path: PathBuf,
        /// Whether somebody has named it.
        named: bool,
    },
}

impl Postgres {
    /// The password for this role at this server and database, as it is now; `None`: there is none.
    ///
    /// # Errors
    ///
    /// The file and why it cannot be read.
    pub fn read_password(&self) -> Result<Option<Secret>, (PathBuf, io::Error)> {
        let outcome = match &self.password {
            Password::None => Ok(None),
            Password::Given(secret) => Ok(Some(secret.clone())),
            Password::File(path) => first_line(path).map_err(|error| (path, error)),
            Password::Passfile { path, named } => match passfile::lookup(path, self) {
                Err(_) if !named => Ok(None),
                outcome => outcome.map_err(|error| (path, error)),
            },
        };
        outcome.map_err(|(path, error)| (path.clone(), error))
    }

    /// The same for a connection that is being made.
    pub(crate) fn password(&self) -> Result<Option<Secret>, PostgresError> {
        self.read_password().map_err(|(path, error)| {
            let text = format!("read the password in {}: {error}", path.display());
            PostgresError::stop(Exit::Configuration, text)
        })
    }
}
