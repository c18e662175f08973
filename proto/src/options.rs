//! The options of the plugin: defined, parsed and printed here for the plugin itself, the relay's
//! flags and psql alike.

mod definition;
mod error;
mod table_list;

pub use definition::{Definition, MAX_VALUE_BYTES};
pub use error::OptionError;
pub use table_list::{
    ColumnList, ColumnPattern, TableList, TableListError, TableListFault, TablePattern,
};

use crate::frame::PROTOCOL_VERSION;

/// What a reader that does not ask was written for; a writer still speaks it.
const OLDEST_VERSION: u32 = 1;

/// What can be asked of the plugin, in force for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The highest version of the frames that the reader knows; 1 where it does not say.
    pub protocol_version: u32,
    /// Those that were given, in that order.
    given: Vec<(&'static str, Option<String>)>,
}

/// Changes that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// New rows.
    pub insert: bool,
    /// Changed rows.
    pub update: bool,
    /// Deleted rows.
    pub delete: bool,
    /// Emptied tables.
    pub truncate: bool,
}

impl Options {
    /// Reads options as they were given: names, each with its value if it has one.
    ///
    /// # Errors
    ///
    /// One is unknown, given twice, lacks its value or has one that it does not take.
    pub fn parse(
        given: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for (name, value) in given {
            options.set(&name, value)?;
        }
        Ok(options)
    }

    /// Sets one option that has not been set before.
    ///
    /// # Errors
    ///
    /// As for [`Options::parse`]; the options are as they were.
    pub fn set(&mut self, name: &str, value: Option<String>) -> Result<(), OptionError> {
        let definition = Definition::of(name)?;
        if self.given.iter().any(|(given, _)| *given == name) {
            return Err(OptionError::Twice(definition.name));
        }
        definition.apply(self, value.as_deref())?;
        self.given.push((definition.name, value));
        Ok(())
    }

    /// The options that were given, as START_REPLICATION and the SQL functions take them: name and
    /// value. All others have their defaults.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.given
            .iter()
            .map(|(name, value)| (*name, value.as_deref()))
    }

    /// The same for people: `name=value`, or the name alone.
    pub fn described(&self) -> Vec<String> {
        let described = self.given().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.to_owned(),
        });
        described.collect()
    }

    /// The tables that are wanted; `None`: all.
    pub fn tables(&self) -> Option<&TableList> {
        self.tables.as_ref()
    }

    /// The tables that are kept back; `None`: none.
    pub fn exclude_tables(&self) -> Option<&TableList> {
        self.exclude_tables.as_ref()
    }

    /// The columns that are kept back; `None`: none.
    pub fn exclude_columns(&self) -> Option<&ColumnList> {
        self.exclude_columns.as_ref()
    }

    /// The prefixes of logical messages that are wanted.
    pub fn message_prefixes(&self) -> &[String] {
        &self.message_prefixes
    }

    /// Whether rows of a table are wanted.
    pub fn wants_table(&self, schema: &str, name: &str) -> bool {
        let listed = |list: &TableList| list.matches(schema, name);
        self.tables.as_ref().is_none_or(listed) && !self.exclude_tables.as_ref().is_some_and(listed)
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

    /// The version of the frames that a writer and this reader both know, the highest of them;
    /// `None`: there is none.
    pub fn spoken_version(&self) -> Option<u32> {
        let version = self.protocol_version.min(PROTOCOL_VERSION);
        (version >= OLDEST_VERSION).then_some(version)
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
            max_value_bytes: 64 << 20,
            json: false,
            protocol_version: OLDEST_VERSION,
            given: Vec::new(),
        }
    }
}
