use std::{ffi::OsStr, fmt};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use super::{SECRETS, Settings, command, is_setting, leaf};
use crate::secret::is_url;

/// Every setting of a subcommand as it is in force, written as a file of settings, with where each
/// comes from. A secret is only said to be there.
#[derive(Debug)]
pub struct Effective<'a>(pub &'a Settings);

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was typed.
    Flag(String),
    /// A variable of the environment.
    Variable(String),
    /// A line of the file.
    Line(String, usize),
    /// Nobody has set it.
    Default,
}

impl fmt::Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, matches) = leaf(&self.0.matches);
        let name = name.unwrap_or_default();
        writeln!(
            f,
            "# Settings of pgevents {name}: flag > variable > file > default"
        )?;
        let Some(command) = find(&command(), name) else {
            return Ok(());
        };
        for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
            self.line(f, arg, matches)?;
        }
        Ok(())
    }
}

impl Effective<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, arg: &Arg, matches: &ArgMatches) -> fmt::Result {
        let (id, key) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let values = matches.get_raw(id).into_iter().flatten();
        let value: Vec<String> = values
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let value = value.join(",");
        if value.is_empty() {
            let default = default_in_words(arg).unwrap_or_else(|| "none".to_owned());
            return writeln!(f, "# {key} is not set (default: {default})");
        }
        let origin = self.origin(arg, matches);
        if SECRETS.iter().any(|(secret, _)| *secret == id) || is_url(&value) {
            return writeln!(f, "# {key} is set, and not shown ({origin})");
        }
        writeln!(f, "{key} = {}  # {origin}", literal(&value))
    }

    fn origin(&self, arg: &Arg, matches: &ArgMatches) -> Origin {
        let name = |name: Option<&OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
        match self.0.mounted.strength(matches, arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => {
                Origin::Flag(arg.get_long().unwrap_or_default().to_owned())
            }
            Some(ValueSource::EnvVariable) => Origin::Variable(name(variable_in_force(arg))),
            _ => match self
                .0
                .file
                .as_ref()
                .and_then(|file| Some((file, file.entry(arg)?)))
            {
                Some((file, entry)) => Origin::Line(file.path().display().to_string(), entry.line),
                None => Origin::Default,
            },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Line(file, line) => write!(f, "{file} line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The default as `--help` tells it, for settings whose default is not one value.
pub(crate) fn default_in_words(arg: &Arg) -> Option<String> {
    let help = arg.get_help()?.to_string();
    let (_, rest) = help.rsplit_once("[default:")?;
    let (words, _) = rest.split_once(']')?;
    Some(words.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first of its variables that is set.
fn variable_in_force(arg: &Arg) -> Option<&OsStr> {
    let names = super::variables_of(arg).unwrap_or_default();
    let set = |name: &&&str| super::variable(name).is_some();
    names
        .iter()
        .find(set)
        .map(OsStr::new)
        .or_else(|| arg.get_env())
}

fn find(command: &Command, name: &str) -> Option<Command> {
    let mut inner = command.get_subcommands();
    inner.find_map(|command| match command.get_name() == name {
        true => Some(command.clone()),
        false => find(command, name),
    })
}

/// A value in TOML: numbers, true and false as they are, all else as a string.
fn literal(value: &str) -> String {
    if matches!(value, "true" | "false") || value.parse::<u64>().is_ok() {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            letter if letter.is_control() => text.push_str(&format!("\\u{:04X}", letter as u32)),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
