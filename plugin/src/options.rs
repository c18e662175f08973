//! What the user asked for, from START_REPLICATION or the SQL interface.

use pgevents_proto::{MAX_VALUE_BYTES, OptionError, Options, PROTOCOL_VERSION};

use crate::ffi::{GivenOption, MAX_OPTION_BYTES, client_encoding};

/// Largest row that is written, in bytes; values that would pass it are kept back.
pub const MAX_ROW_BYTES: usize = MAX_VALUE_BYTES;

/// Why the options cannot be followed. Nothing is decoded; the client is told at once.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An option that cannot be followed.
    #[error("{source}. {}", .source.hint())]
    Option {
        #[from]
        source: OptionError,
    },
    /// A value in UTF-8 from a session that says it speaks another encoding: no name would match
    /// it, and nobody would know why.
    #[error(
        "option \"{name}\" was sent as UTF-8, but client_encoding of this session is {client_encoding}. \
         Set client_encoding to UTF8 (PGCLIENTENCODING=UTF8 for PostgreSQL's own programs)."
    )]
    Misread {
        name: String,
        client_encoding: String,
    },
    /// A value that no reader of this project would send.
    #[error("option \"{name}\" is longer than {} KiB. Name the tables with patterns.", MAX_OPTION_BYTES / 1024)]
    TooLong { name: String },
    /// The reader knows only versions that this plugin does not speak any more.
    #[error(
        "this plugin speaks protocol versions 1 to {PROTOCOL_VERSION}, the reader knows {0} and older. \
         Upgrade the reader."
    )]
    Version(u32),
}

/// Reads the options that were given, and the version of the frames that follows from them.
///
/// # Errors
///
/// They cannot be followed.
pub fn read(given: Vec<GivenOption>) -> Result<(Options, u32), Refusal> {
    let mut options = Options::default();
    for option in given {
        let GivenOption {
            name,
            value,
            misread,
            too_long,
        } = option;
        if too_long {
            return Err(Refusal::TooLong { name });
        }
        if misread {
            let client_encoding = client_encoding();
            return Err(Refusal::Misread {
                name,
                client_encoding,
            });
        }
        options.set(&name, value)?;
    }
    // What prints JSON reads the frames itself.
    let version = match options.json {
        true => Some(PROTOCOL_VERSION),
        false => options.spoken_version(),
    };
    let version = version.ok_or(Refusal::Version(options.protocol_version))?;
    Ok((options, version))
}
