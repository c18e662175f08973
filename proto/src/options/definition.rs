use std::str::FromStr;

use super::{Actions, OptionError, Options, TableListError};

/// The most that `max-value-bytes` takes, in bytes: far below the 1 GiB that one message of
/// PostgreSQL's protocol may have.
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// All that there is to say about one option: a new one is an entry of [`Definition::ALL`], a field
/// of [`Options`], and the place in the plugin that asks for it.
#[derive(Debug)]
pub struct Definition {
    /// Name, as in START_REPLICATION.
    pub name: &'static str,
    /// What stands for its value in a usage text; `None`: on or off, and on without a value.
    pub value: Option<&'static str>,
    /// What it does, for `--help`; `None`: not for operators, so that no flag sets it.
    pub help: Option<&'static str>,
    /// What its value has to be, in words.
    expected: &'static str,
    set: fn(&mut Options, Given<'_>) -> Result<(), OptionError>,
}

impl Definition {
    /// All options, in the order in which `--help` shows them.
    pub const ALL: &[Self] = &[
        Self {
            name: "tables",
            value: Some("LIST"),
            help: Some("Tables to send, e.g. public.users,sales.* [default: all]"),
            expected: "a comma list of tables",
            set: |options, given| given.names().map(|names| options.tables = Some(names)),
        },
        Self {
            name: "exclude-tables",
            value: Some("LIST"),
            help: Some("Tables not to send, in the same form [default: none]"),
            expected: "a comma list of tables",
            set: |options, given| {
                given
                    .names()
                    .map(|names| options.exclude_tables = Some(names))
            },
        },
        Self {
            name: "actions",
            value: Some("LIST"),
            help: Some(
                "Actions to send, of insert, update, delete, truncate \
                 [default: insert,update,delete]",
            ),
            expected: "a comma list of insert, update, delete, truncate",
            set: |options, given| given.actions().map(|value| options.actions = value),
        },
        Self {
            name: "skip-noop",
            value: None,
            help: Some("Keep back updates that change nothing (needs REPLICA IDENTITY FULL)"),
            expected: "on or off",
            set: |options, given| given.switch().map(|value| options.skip_noop = value),
        },
        Self {
            name: "exclude-columns",
            value: Some("LIST"),
            help: Some(
                "Columns to leave out of every event, e.g. public.users.password [default: none]",
            ),
            expected: "a comma list of columns",
            set: |options, given| {
                given
                    .names()
                    .map(|names| options.exclude_columns = Some(names))
            },
        },
        Self {
            name: "partition-root",
            value: None,
            help: Some("Send the rows of partitions under the name of their topmost parent"),
            expected: "on or off",
            set: |options, given| given.switch().map(|value| options.partition_root = value),
        },
        Self {
            name: "messages",
            value: Some("LIST"),
            help: Some(
                "Prefixes of logical messages to send, each pgevents: or longer [default: none]. The \
                 message of pg_logical_emit_message(true, 'pgevents:orders.paid', '{\"order\":1}') has the \
                 routing key orders.paid and that body",
            ),
            expected: "a comma list of prefixes, none of them empty",
            set: |options, given| {
                given
                    .prefixes()
                    .map(|value| options.message_prefixes = value)
            },
        },
        Self {
            name: "origin",
            value: Some("ORIGIN"),
            help: Some(
                "none: only changes that were made on this server, not those it replayed; any: all \
                 [default: any]",
            ),
            expected: "any or none",
            set: |options, given| {
                given
                    .second_of(["any", "none"])
                    .map(|value| options.local_only = value)
            },
        },
        Self {
            name: "max-value-bytes",
            value: Some("BYTES"),
            help: Some(
                "Largest value that is sent, in bytes, 1 to 536870912; a larger one becomes a \
                 marker [default: 67108864]",
            ),
            expected: "a number of bytes from 1 to 536870912",
            set: |options, given| given.size().map(|value| options.max_value_bytes = value),
        },
        Self {
            name: "format",
            value: Some("FORMAT"),
            help: None,
            expected: "binary or json",
            set: |options, given| {
                given
                    .second_of(["binary", "json"])
                    .map(|value| options.json = value)
            },
        },
        Self {
            name: "protocol-version",
            value: Some("NUMBER"),
            help: None,
            expected: "a number, the highest protocol version that the reader knows",
            set: |options, given| {
                given
                    .version()
                    .map(|value| options.protocol_version = value)
            },
        },
    ];

    /// The option of that name.
    pub(super) fn of(name: &str) -> Result<&'static Self, OptionError> {
        Self::ALL
            .iter()
            .find(|definition| definition.name == name)
            .ok_or_else(|| OptionError::Unknown(name.to_owned()))
    }

    /// The names of all, in alphabetical order.
    pub(super) fn names() -> String {
        let mut names: Vec<_> = Self::ALL.iter().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.join(", ")
    }

    pub(super) fn apply(
        &'static self,
        options: &mut Options,
        value: Option<&str>,
    ) -> Result<(), OptionError> {
        let definition = self;
        (self.set)(options, Given { definition, value })
    }
}

/// An option with the value that was given.
#[derive(Clone, Copy)]
struct Given<'a> {
    definition: &'static Definition,
    value: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn text(self) -> Result<&'a str, OptionError> {
        self.value.ok_or(OptionError::NoValue(self.definition.name))
    }

    fn names<L: FromStr<Err = TableListError>>(self) -> Result<L, OptionError> {
        let name = self.definition.name;
        let read = self.text()?.parse();
        read.map_err(|source| OptionError::Names { name, source })
    }

    fn actions(self) -> Result<Actions, OptionError> {
        let mut actions = Actions {
            insert: false,
            update: false,
            delete: false,
            truncate: false,
        };
        for action in self.text()?.split(',') {
            match action.trim() {
                "insert" => actions.insert = true,
                "update" => actions.update = true,
                "delete" => actions.delete = true,
                "truncate" => actions.truncate = true,
                other => return Err(self.refused(other)),
            }
        }
        Ok(actions)
    }

    /// A comma list of prefixes; blanks around them do not count.
    fn prefixes(self) -> Result<Vec<String>, OptionError> {
        let list = self.text()?;
        let prefixes: Vec<_> = list
            .split(',')
            .map(|prefix| prefix.trim().to_owned())
            .collect();
        match prefixes.iter().any(String::is_empty) {
            true => Err(self.refused(list)),
            false => Ok(prefixes),
        }
    }

    /// True for the second of two words.
    fn second_of(self, [first, second]: [&str; 2]) -> Result<bool, OptionError> {
        match self.text()? {
            word if word == second => Ok(true),
            word if word == first => Ok(false),
            other => Err(self.refused(other)),
        }
    }

    /// On without a value, as in PostgreSQL's own plugins.
    fn switch(self) -> Result<bool, OptionError> {
        let Some(word) = self.value else {
            return Ok(true);
        };
        match word.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Ok(true),
            "off" | "false" | "no" | "0" => Ok(false),
            _ => Err(self.refused(word)),
        }
    }

    fn size(self) -> Result<usize, OptionError> {
        let number = self.text()?;
        match number.parse() {
            Ok(bytes) if (1..=MAX_VALUE_BYTES).contains(&bytes) => Ok(bytes),
            _ => Err(self.refused(number)),
        }
    }

    fn version(self) -> Result<u32, OptionError> {
        let number = self.text()?;
        number.parse().map_err(|_| self.refused(number))
    }

    fn refused(self, found: &str) -> OptionError {
        OptionError::Value {
            name: self.definition.name,
            expected: self.definition.expected,
            found: found.to_owned(),
        }
    }
}
