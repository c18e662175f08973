use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue},
};
use toml::de::{DeTable, DeValue};

use super::{SECRETS, is_setting};
use crate::secret::shown;

/// How alike two names have to be for one to be meant by the other, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// A file of settings, in TOML: a key is a long flag without its dashes.
///
/// One file can serve several subcommands; each takes the keys that it knows.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One line of it.
#[derive(Debug)]
pub struct Entry {
    /// The setting.
    pub key: String,
    /// Its value as a flag would have it. May be a secret, so it has no place in a message.
    pub value: String,
    /// Where it stands, from 1.
    pub line: usize,
}

/// A file that cannot be used: exit code 2. Each names the file, and the line if there is one.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read {path}, named by --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds a secret, and other users may read it.
    #[error(
        "{path} line {line}: holds a secret ({key}), and others may read the file: run chmod 0600, or \
         keep the secret elsewhere"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Line of the secret.
        line: usize,
        /// Which one it is.
        key: String,
    },
    /// A line cannot be used.
    #[error("{path} line {line}: {fault}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it; never a secret.
        fault: String,
    },
}

impl File {
    /// Reads a file and checks every key and value in it against the settings of all subcommands.
    ///
    /// # Errors
    ///
    /// The first line that cannot be used.
    pub fn read(path: &Path, command: &Command) -> Result<Self, FileError> {
        let unreadable = |source| FileError::Read {
            path: path.to_owned(),
            source,
        };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        let file = Self {
            path: path.to_owned(),
            entries: entries(&text, command).map_err(|(line, fault)| FileError::Line {
                path: path.to_owned(),
                line,
                fault,
            })?,
        };
        let is_secret = |entry: &&Entry| {
            SECRETS
                .iter()
                .any(|(id, _)| id.replace('_', "-") == entry.key)
        };
        match file.entries.iter().find(is_secret) {
            Some(entry) if mode & 0o077 != 0 => Err(FileError::Exposed {
                path: path.to_owned(),
                line: entry.line,
                key: entry.key.clone(),
            }),
            Some(_) | None => Ok(file),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of a setting; nothing of a flag that is no setting.
    pub fn entry(&self, arg: &Arg) -> Option<&Entry> {
        let key = arg.get_long().filter(|_| is_setting(arg))?;
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// The lines with a value, or a line and what is wrong with it.
fn entries(text: &str, command: &Command) -> Result<Vec<Entry>, (usize, String)> {
    let line_at = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        // The library shows the whole line, which may hold a secret; its message does not.
        (line, format!("no TOML: {}", error.message()))
    })?;
    let known = settings_of(command);
    let mut lines: Vec<_> = table.get_ref().iter().collect();
    lines.sort_by_key(|(key, _)| key.span().start);
    let mut entries = Vec::new();
    for (key, value) in lines {
        let line = line_at(key.span().start);
        let entry = entry(key.get_ref(), value.get_ref(), &known);
        if let Some((key, value)) = entry.map_err(|fault| (line, fault))? {
            entries.push(Entry { key, value, line });
        }
    }
    Ok(entries)
}

/// A key with its value; `None` for an empty value, which counts as not given.
fn entry(
    key: &str,
    value: &DeValue<'_>,
    known: &[Arg],
) -> Result<Option<(String, String)>, String> {
    let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(key)) else {
        return Err(unknown(key, known));
    };
    let Some(text) = flag_text(value) else {
        return Err(format!(
            "{key} is of no use as {}: write a string, a number, true, false, or a list of strings",
            value.type_str()
        ));
    };
    if text.is_empty() {
        return Ok(None);
    }
    check(arg, &text)?;
    Ok(Some((key.to_owned(), text)))
}

/// A value as a flag would have it; lists are joined by commas.
fn flag_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| item.get_ref().as_str());
            Some(items.collect::<Option<Vec<_>>>()?.join(","))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Whether the flag itself would take the value.
fn check(arg: &Arg, value: &str) -> Result<(), String> {
    let key = arg.get_long().unwrap_or_default();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value {
            "true" | "false" => Ok(()),
            _ => Err(format!("{key} is {}: write true or false", shown(value))),
        };
    }
    // Alone, so that neither the environment nor another flag has a say.
    let parser = arg.get_value_parser().clone();
    let alone = Arg::new("value").long(key.to_owned()).value_parser(parser);
    let alone = Command::new("file").no_binary_name(true).arg(alone);
    match alone.try_get_matches_from([format!("--{key}={value}")]) {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(key, value, &error)),
    }
}

/// One line of clap's several.
fn refusal(key: &str, value: &str, error: &clap::Error) -> String {
    use std::error::Error;

    let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(ContextValue::Strings(values))) => format!("use one of {}", values.join(", ")),
        (None, _) => "it cannot be used".to_owned(),
    };
    format!("{key} is {}: {reason}", shown(value))
}

fn unknown(key: &str, known: &[Arg]) -> String {
    let likeness = |arg: &&Arg| strsim::jaro_winkler(key, arg.get_long().unwrap_or_default());
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest
        .filter(|arg| likeness(arg) >= ALIKE)
        .and_then(Arg::get_long)
    {
        Some(nearest) => format!("unknown key {key:?}: did you mean {nearest:?}?"),
        None => format!("unknown key {key:?}: keys are the long flags of pgevents producer --help"),
    }
}

/// The settings of all subcommands.
fn settings_of(command: &Command) -> Vec<Arg> {
    let mut found: Vec<Arg> = command
        .get_arguments()
        .filter(|arg| is_setting(arg))
        .cloned()
        .collect();
    found.extend(command.get_subcommands().flat_map(settings_of));
    found
}
