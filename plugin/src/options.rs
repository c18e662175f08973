//! What the user asked for, from START_REPLICATION or the SQL interface.

use pgevents_proto::{TableList, TableListError};

/// Largest row that is written, in bytes; values that would pass it are kept back. Far below the
/// 1 GiB that one message of PostgreSQL's protocol may have.
pub const MAX_ROW_BYTES: usize = 512 * 1024 * 1024;

const DEFAULT_MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

const KNOWN: &str = "actions, exclude-tables, max-value-bytes, partition-root, skip-noop, tables";

/// Options in force for one session.
#[derive(Debug)]
pub struct Options {
    tables: Option<TableList>,
    exclude_tables: Option<TableList>,
    actions: Actions,
    /// Updates whose full old row equals the new one are kept back.
    pub skip_noop: bool,
    /// Partitions go by the name of their topmost parent.
    pub partition_root: bool,
    /// Largest value that travels, in bytes.
    pub max_value_bytes: usize,
    /// `name=value` of each, as given or by default.
    described: Vec<String>,
}

/// Row changes that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
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
    /// A list of tables that is none.
    #[error("option \"{name}\": {source}")]
    Tables {
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
        format!("Known options: {KNOWN}.")
    }
}

impl Options {
    /// Reads the options in the order given.
    pub fn parse(given: Vec<(String, Option<String>)>) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in given {
            if seen.contains(&name) {
                return Err(OptionError::Twice(name));
            }
            options.set(&name, value)?;
            seen.push(name);
        }
        options.describe();
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<String>) -> Result<(), OptionError> {
        match name {
            "tables" => self.tables = Some(table_list("tables", value)?),
            "exclude-tables" => self.exclude_tables = Some(table_list("exclude-tables", value)?),
            "actions" => self.actions = actions(value)?,
            "skip-noop" => self.skip_noop = boolean("skip-noop", value)?,
            "partition-root" => self.partition_root = boolean("partition-root", value)?,
            "max-value-bytes" => self.max_value_bytes = max_value_bytes(value)?,
            _ => return Err(OptionError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    fn describe(&mut self) {
        let actions = [
            ("insert", self.actions.insert),
            ("update", self.actions.update),
            ("delete", self.actions.delete),
        ];
        let actions: Vec<_> = actions.iter().filter(|a| a.1).map(|a| a.0).collect();
        let list = |list: &Option<TableList>| match list {
            Some(list) => format!("{} items", list.patterns().len()),
            None => "none".to_owned(),
        };
        self.described = vec![
            format!("tables={}", list(&self.tables)),
            format!("exclude-tables={}", list(&self.exclude_tables)),
            format!("actions={}", actions.join(",")),
            format!("skip-noop={}", self.skip_noop),
            format!("partition-root={}", self.partition_root),
            format!("max-value-bytes={}", self.max_value_bytes),
        ];
    }

    /// The options in force, as `name=value`.
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

    /// Row changes that are wanted.
    #[inline]
    pub fn actions(&self) -> Actions {
        self.actions
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tables: None,
            exclude_tables: None,
            actions: Actions {
                insert: true,
                update: true,
                delete: true,
            },
            skip_noop: false,
            partition_root: false,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            described: Vec::new(),
        }
    }
}

fn table_list(name: &'static str, value: Option<String>) -> Result<TableList, OptionError> {
    let value = value.ok_or(OptionError::NoValue(name))?;
    value
        .parse()
        .map_err(|source| OptionError::Tables { name, source })
}

fn actions(value: Option<String>) -> Result<Actions, OptionError> {
    let value = value.ok_or(OptionError::NoValue("actions"))?;
    let mut actions = Actions {
        insert: false,
        update: false,
        delete: false,
    };
    for action in value.split(',') {
        match action.trim() {
            "insert" => actions.insert = true,
            "update" => actions.update = true,
            "delete" => actions.delete = true,
            other => {
                return Err(OptionError::Value {
                    name: "actions",
                    expected: "a comma list of insert, update, delete",
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
