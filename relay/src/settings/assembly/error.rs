use std::{io, path::PathBuf};

use pgevents_proto::{OptionError, TableListError};

use crate::{doctor::ManagementUrlFault, secret::shown, sink::amqp::UrlFault, tls::TlsError};

/// A setting that cannot be used. Always the operator's to mend: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting without a default is missing.
    #[error("{0} is not set: {1}")]
    Missing(&'static str, &'static str),
    /// A setting has a value outside its range.
    #[error("{name} is {}: {expected}", shown(.value))]
    Value {
        /// The setting.
        name: &'static str,
        /// What it was set to; never a secret.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A setting is not what it should be, and may hold a secret.
    #[error("{name} cannot be used (it is not shown here): {expected}")]
    NotShown {
        /// The setting.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A variable of libpq asks for what the relay does not do.
    #[error("{name} is set, and the relay does not do what it asks for: {remedy}")]
    Libpq {
        /// The variable.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A table list does not parse.
    #[error("read {name}")]
    Tables {
        /// The setting.
        name: &'static str,
        /// Where and why.
        source: TableListError,
    },
    /// An option of the plugin has a value that it does not take.
    #[error("{setting}{}", in_words(.fault))]
    Plugin {
        /// How the operator sets it.
        setting: String,
        /// What is wrong with it.
        fault: OptionError,
    },
    /// The broker's URL does not parse; the message never repeats it.
    #[error("read RABBITMQ_URL: {0}")]
    Url(#[from] UrlFault),
    /// The URL of the management API cannot be used.
    #[error(transparent)]
    Management(#[from] ManagementUrlFault),
    /// Certificates for a connection that would not look at them.
    #[error(
        "RABBITMQ_CACERT, RABBITMQ_CERT or RABBITMQ_KEY is set, and RABBITMQ_URL starts with \
         amqp://, which does not encrypt: use amqps://"
    )]
    PlainUrl,
    /// A file of certificates or a key that a setting names cannot be used.
    #[error("read the certificates named by {0}")]
    Certificates(&'static str, #[source] Box<TlsError>),
    /// A file that a setting names cannot be read.
    #[error("read {path}, named by {name}")]
    File {
        /// The setting.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with an option, behind the name of its setting.
fn in_words(fault: &OptionError) -> String {
    match fault {
        OptionError::Value {
            expected, found, ..
        } => format!(" is {}: expected {expected}", shown(found)),
        OptionError::Names { source, .. } => format!(" is no list: {source}"),
        OptionError::Unknown(_) | OptionError::NoValue(_) | OptionError::Twice(_) => {
            format!(": {fault}")
        }
    }
}
