//! What the user asked for, from START_REPLICATION or the SQL interface.

use pgevents_proto::{ColumnList, TableList, TableListError};

use crate::ffi::{GivenOption, client_encoding};

/// Largest row that is written, in bytes; values that would pass it are kept back. Far below the
/// 1 GiB that one message of PostgreSQL's protocol may have.
pub const MAX_ROW_BYTES: usize = 512 * 1024 * 1024;

const DEFAULT_MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

const KNOWN: &str = "actions, exclude-columns, exclude-tables, format, max-value-bytes, messages, \
                     origin, partition-root, skip-noop, tables";

/// Options in force for one session.
#[derive(Debug)]
pub struct Options {
    tables: Option<TableList>,
    exclude_tables: Option<TableList>,
    exclude_columns: Option<ColumnList>,
    /// Actions that are wanted.
    pub actions: Actions,
    /// Logical messages are wanted whose prefix starts with one of these.
    message_prefixes: Vec<String>,
    /// Whether changes that another server made and this one replayed are kept back.
    pub local_only: bool,
    /// Updates whose full old row equals the new one are kept back.
    pub skip_noop: bool,
    /// Partitions go by the name of their topmost parent.
    pub partition_root: bool,
    /// Largest value that travels, in bytes.
    pub max_value_bytes: usize,
    /// Whether JSON events are printed instead of frames.
    pub json: bool,
    /// `name=value` of each that was given.
    described: Vec<String>,
}

/// Changes that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

/// An option that cannot be followed. Nothing is decoded; the client is told at once.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// A name that is none.
    #[error("unknown option \"{0}\"")]
    Unknown(String),
    /// A name without a value, where one is needed.
    #[error("option \"{0}\" needs a value")]
    NoValue(&'static str),
    /// The same option twice: nobody can know which was meant.
    #[error("option \"{0}\" is given twice")]
    Twice(String),
    /// A value in UTF-8 from a session that says it speaks another encoding: no name would match it,
    /// and nobody would know why.
    #[error(
        "option \"{name}\" was sent as UTF-8, but client_encoding of this session is {client_encoding}"
    )]
    Misread {
        name: String,
        client_encoding: String,
    },
    /// A list of tables or columns that is none.
    #[error("option \"{name}\": {source}")]
    Names {
        name: &'static str,
        source: TableListError,
    },
    /// A value outside of what the option takes.
    #[error("option \"{name}\": expected {expected}, found \"{found}\"")]
    Value {
        name: &'static str,
        expected: &'static str,
        found: String,
    },
}

impl OptionError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Misread { .. } => {
                "Set client_encoding to UTF8 (PGCLIENTENCODING=UTF8 for PostgreSQL's own programs)."
                    .to_owned()
            }
            _ => format!("Known options: {KNOWN}."),
        }
    }
}

impl Options {
    /// Reads the options in the order given.
    pub fn parse(given: Vec<GivenOption>) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for option in given {
            let GivenOption {
                name,
                value,
                misread,
            } = option;
            if misread {
                return Err(OptionError::Misread {
                    name,
                    client_encoding: client_encoding(),
                });
            }
            if seen.contains(&name) {
                return Err(OptionError::Twice(name));
            }
            options.described.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            options.set(&name, value)?;
            seen.push(name);
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<String>) -> Result<(), OptionError> {
        match name {
            "tables" => self.tables = Some(name_list("tables", value)?),
            "exclude-tables" => self.exclude_tables = Some(name_list("exclude-tables", value)?),
            "exclude-columns" => self.exclude_columns = Some(name_list("exclude-columns", value)?),
            "actions" => self.actions = actions(value)?,
            "messages" => self.message_prefixes = message_prefixes(value)?,
            "origin" => self.local_only = choice("origin", value, ["any", "none"])?,
            "format" => self.json = choice("format", value, ["binary", "json"])?,
            "skip-noop" => self.skip_noop = boolean("skip-noop", value)?,
            "partition-root" => self.partition_root = boolean("partition-root", value)?,
            "max-value-bytes" => self.max_value_bytes = max_value_bytes(value)?,
            _ => return Err(OptionError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// The options that were given, as `name=value`; all others have their defaults.
    pub fn described(&self) -> &[String] {
        &self.described
    }

    /// Whether rows of a table are wanted.
    pub fn wants_table(&self, schema: &str, name: &str) -> bool {
        self.tables
            .as_ref()
            .is_none_or(|list| list.matches(schema, name))
            && !self
                .exclude_tables
                .as_ref()
                .is_some_and(|list| list.matches(schema, name))
    }

    /// Whether a column is kept out of every event.
    pub fn excludes_column(&self, schema: &str, table: &str, column: &str) -> bool {
        self.exclude_columns
            .as_ref()
            .is_some_and(|list| list.matches(schema, table, column))
    }

    /// Whether a logical message is wanted.
    pub fn wants_message(&self, prefix: &str) -> bool {
        self.message_prefixes
            .iter()
            .any(|wanted| prefix.starts_with(wanted.as_str()))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tables: None,
            exclude_tables: None,
            exclude_columns: None,
            actions: Actions {
                insert: true,
                update: true,
                delete: true,
                truncate: false,
            },
            message_prefixes: Vec::new(),
            local_only: false,
            skip_noop: false,
            partition_root: false,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            json: false,
            described: Vec::new(),
        }
    }
}

fn name_list<L>(name: &'static str, value: Option<String>) -> Result<L, OptionError>
where
    L: std::str::FromStr<Err = TableListError>,
{
    let value = value.ok_or(OptionError::NoValue(name))?;
    value
        .parse()
        .map_err(|source| OptionError::Names { name, source })
}

/// A comma list of prefixes; blanks around them do not count.
fn message_prefixes(value: Option<String>) -> Result<Vec<String>, OptionError> {
    let value = value.ok_or(OptionError::NoValue("messages"))?;
    let prefixes: Vec<_> = value
        .split(',')
        .map(|prefix| prefix.trim().to_owned())
        .collect();
    if prefixes.iter().any(String::is_empty) {
        let expected = "a comma list of prefixes, none of them empty";
        return Err(OptionError::Value {
            name: "messages",
            expected,
            found: value,
        });
    }
    Ok(prefixes)
}

/// True for the second of two words.
fn choice(
    name: &'static str,
    value: Option<String>,
    [no, yes]: [&'static str; 2],
) -> Result<bool, OptionError> {
    let value = value.ok_or(OptionError::NoValue(name))?;
    if value == yes || value == no {
        return Ok(value == yes);
    }
    let expected = match name {
        "origin" => "any or none",
        _ => "binary or json",
    };
    Err(OptionError::Value {
        name,
        expected,
        found: value,
    })
}

fn actions(value: Option<String>) -> Result<Actions, OptionError> {
    let value = value.ok_or(OptionError::NoValue("actions"))?;
    let mut actions = Actions {
        insert: false,
        update: false,
        delete: false,
        truncate: false,
    };
    for action in value.split(',') {
        match action.trim() {
            "insert" => actions.insert = true,
            "update" => actions.update = true,
            "delete" => actions.delete = true,
            "truncate" => actions.truncate = true,
            other => {
                return Err(OptionError::Value {
                    name: "actions",
                    expected: "a comma list of insert, update, delete, truncate",
                    found: other.to_owned(),
                });
            }
        }
    }
    Ok(actions)
}

/// An option without a value is on, as in PostgreSQL's own plugins.
fn boolean(name: &'static str, value: Option<String>) -> Result<bool, OptionError> {
    match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("on" | "true" | "yes" | "1") => Ok(true),
        Some("off" | "false" | "no" | "0") => Ok(false),
        Some(found) => Err(OptionError::Value {
            name,
            expected: "on or off",
            found: found.to_owned(),
        }),
    }
}

fn max_value_bytes(value: Option<String>) -> Result<usize, OptionError> {
    let name = "max-value-bytes";
    let value = value.ok_or(OptionError::NoValue(name))?;
    match value.parse() {
        Ok(bytes) if (1..=MAX_ROW_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(OptionError::Value {
            name,
            expected: "a number of bytes from 1 to 536870912",
            found: value,
        }),
    }
}
