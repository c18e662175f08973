//! Where settings come from: a flag, else a variable of the environment, else the file of
//! `--config`, else the default. Names, ranges and defaults are those of [`super::flags`], so that
//! there is one definition of every setting.

mod effective;
mod file;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::flags::Cli;
use crate::secret::shown;
pub(crate) use effective::default_in_words;
pub use effective::{Effective, Origin};
pub use file::{File, FileError};

/// Flags that are about one run, and so have no variable and no key in the file.
const ONE_RUN: [&str; 9] = [
    "accept_gap",
    "check",
    "config",
    "failover",
    "gap_record",
    "help",
    "json",
    "version",
    "yes",
];

/// Settings with more than one variable, the strongest first.
const VARIABLES: [(&str, &[&str]); 2] = [
    ("pgslot", &["PGSLOT", "PGREPLICATIONSLOT"]),
    (
        "log_level",
        &["PGEVENTS_LOG_LEVEL", "RUST_LOG", "LOG_LEVEL"],
    ),
];

/// Secrets, each with the setting that names a file with it, if there is one: of the two, the one
/// that comes from the stronger place counts, and of two from one place the secret itself.
const SECRETS: [(&str, Option<&str>); 3] = [
    ("pgpassword", Some("pgpassword_file")),
    ("rabbitmq_url", Some("rabbitmq_url_file")),
    ("rabbitmq_management_url", None),
];

/// What was typed, with what the environment and the file add.
#[derive(Debug)]
pub struct Settings {
    matches: ArgMatches,
    mounted: Mounted,
    file: Option<File>,
}

/// Settings whose variable ends in a line break, as the text of a mounted file does. clap takes a
/// variable only as it is, so these are defaults for it, without the line break.
#[derive(Debug, Default)]
struct Mounted(Vec<String>);

/// Settings that cannot be read: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line, in clap's words of several lines; also a request for help or the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Settings {
    /// Reads the command line, the environment and the file that they name.
    ///
    /// # Errors
    ///
    /// The first thing in one of them that cannot be used.
    pub fn read(words: impl IntoIterator<Item = OsString> + Clone) -> Result<Self, SettingsError> {
        let mut mounted = Mounted::default();
        let mut command = from_environment(command(), &mut mounted);
        let parse = |command: Command| {
            let parsed = command.try_get_matches_from(words.clone());
            parsed.map_err(without_secrets)
        };
        let mut matches = parse(command.clone())?;
        let mut file = None;
        if let Some(path) = path_of_file(&matches) {
            let read = File::read(&path, &command)?;
            command = with_defaults(command, &read, &mounted);
            matches = parse(command.clone())?;
            file = Some(read);
        }
        let weaker = mounted.weaker_secrets(&matches);
        if !weaker.is_empty() {
            matches = parse(without(command, &weaker))?;
        }
        Ok(Self {
            matches,
            mounted,
            file,
        })
    }

    /// The values, as clap's derived types take them.
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }

    /// Whether to look only at the settings.
    pub fn check_only(&self) -> bool {
        let (_, matches) = leaf(&self.matches);
        matches.try_get_one::<bool>("check").ok().flatten() == Some(&true)
    }

    /// Secrets that were typed, where every user of the machine can read them, each with the
    /// setting that names a file instead.
    pub fn typed_secrets(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        let (_, matches) = leaf(&self.matches);
        let typed = |id: &str| self.mounted.strength(matches, id) == Some(ValueSource::CommandLine);
        SECRETS.into_iter().filter(move |(id, _)| typed(id))
    }
}

/// The command line with what all subcommands with settings share: a variable for each setting,
/// `--config` and `--check`.
pub fn command() -> Command {
    extend(Cli::command())
}

/// Whether a flag is a setting, which also has a variable and a key in the file.
pub fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some() && !ONE_RUN.contains(&arg.get_id().as_str())
}

fn extend(command: Command) -> Command {
    let command = command.mut_subcommands(extend);
    let name = command.get_name().to_owned();
    if command
        .get_arguments()
        .all(|arg| arg.get_id() != "log_format")
    {
        return command;
    }
    let command = command.mut_args(|arg| match is_setting(&arg) && arg.get_env().is_none() {
        true => {
            let variable = variables_of(&arg).map_or_else(
                || format!("PGEVENTS_{}", arg.get_id().as_str().to_uppercase()),
                |names| names[0].to_owned(),
            );
            arg.env(variable)
        }
        false => arg,
    });
    let command = command.arg(
        Arg::new("config")
            .long("config")
            .env("PGEVENTS_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("File of settings (TOML); flags and variables come before it [default: none]"),
    );
    if !matches!(name.as_str(), "producer" | "consumer_debug") {
        return command;
    }
    command.arg(
        Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Print every setting without secrets and where it comes from, look for mistakes, and end"),
    )
}

/// An empty variable counts as one that is not set, and the first of several that is set counts.
fn from_environment(command: Command, mounted: &mut Mounted) -> Command {
    let command = command.mut_subcommands(|inner| from_environment(inner, mounted));
    command.mut_args(|arg| {
        let names = variables(&arg);
        if names.is_empty() {
            return arg;
        }
        let value = |name: &String| Some((name.clone(), variable(name)?));
        match names.iter().find_map(value) {
            None => arg.env(None::<&'static str>),
            Some((name, Variable::AsItIs)) => arg.env(name),
            Some((_, Variable::Mounted(value))) => {
                mounted.0.push(arg.get_id().to_string());
                // It may be a secret.
                let hidden = arg.get_action().takes_values();
                let arg = arg.env(None::<&'static str>).hide_default_value(hidden);
                arg.default_value(value)
            }
        }
    })
}

/// What a variable of the environment holds.
enum Variable {
    /// What clap can take.
    AsItIs,
    /// This, and a line break.
    Mounted(String),
}

/// `None`: it is not set, or empty but for line breaks.
fn variable(name: &str) -> Option<Variable> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let Some(text) = value.to_str() else {
        return Some(Variable::AsItIs);
    };
    match text.trim_end_matches(['\n', '\r']) {
        "" => None,
        trimmed if trimmed.len() == text.len() => Some(Variable::AsItIs),
        trimmed => Some(Variable::Mounted(trimmed.to_owned())),
    }
}

/// Names of the variables of a setting, the strongest first.
pub fn variables(arg: &Arg) -> Vec<String> {
    match (variables_of(arg), arg.get_env()) {
        (Some(names), _) => names.iter().map(|name| (*name).to_owned()).collect(),
        (None, Some(name)) => vec![name.to_string_lossy().into_owned()],
        (None, None) => Vec::new(),
    }
}

fn variables_of(arg: &Arg) -> Option<&'static [&'static str]> {
    let found = VARIABLES.iter().find(|(id, _)| arg.get_id() == id);
    found.map(|(_, names)| *names)
}

/// The values of the file as defaults.
fn with_defaults(command: Command, file: &File, mounted: &Mounted) -> Command {
    let command = command.mut_subcommands(|inner| with_defaults(inner, file, mounted));
    command.mut_args(|arg| match file.entry(&arg) {
        Some(entry) if !mounted.has(arg.get_id().as_str()) => {
            arg.default_value(entry.value.clone())
        }
        Some(_) | None => arg,
    })
}

impl Mounted {
    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|mounted| mounted == id)
    }

    /// Secrets that a file from a stronger place stands in for. None of them was typed.
    fn weaker_secrets(&self, matches: &ArgMatches) -> Vec<&'static str> {
        let (_, matches) = leaf(matches);
        let weaker = SECRETS.into_iter().filter(|(secret, file)| {
            file.is_some_and(|file| self.strength(matches, file) > self.strength(matches, secret))
        });
        weaker.map(|(secret, _)| secret).collect()
    }

    /// Where a value comes from, the stronger the greater; `None`: there is none, or no such flag.
    fn strength(&self, matches: &ArgMatches, id: &str) -> Option<ValueSource> {
        matches.try_contains_id(id).ok().filter(|given| *given)?;
        match matches.value_source(id) {
            Some(ValueSource::DefaultValue) if self.has(id) => Some(ValueSource::EnvVariable),
            source => source,
        }
    }
}

/// clap repeats a word that it does not take, which may be one that belongs elsewhere.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let kinds = [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ];
    for kind in kinds {
        if let Some(ContextValue::String(word)) = error.get(kind)
            && !shown(word).starts_with('"')
        {
            error.insert(kind, ContextValue::String(shown(word)));
        }
    }
    error
}

/// The same command line, with neither a variable nor a default for these.
fn without(command: Command, secrets: &[&str]) -> Command {
    let command = command.mut_subcommands(|inner| without(inner, secrets));
    command.mut_args(|arg| match secrets.iter().any(|id| arg.get_id() == id) {
        true => arg
            .env(None::<&'static str>)
            .default_value(None::<&'static str>),
        false => arg,
    })
}

fn path_of_file(matches: &ArgMatches) -> Option<PathBuf> {
    let (_, matches) = leaf(matches);
    let path = matches.try_get_one::<PathBuf>("config").ok().flatten()?;
    (!path.as_os_str().is_empty()).then(|| path.clone())
}

/// The innermost subcommand: its name, and what was typed for it.
fn leaf(matches: &ArgMatches) -> (Option<&str>, &ArgMatches) {
    let (mut name, mut matches) = (None, matches);
    while let Some((inner, of_it)) = matches.subcommand() {
        (name, matches) = (Some(inner), of_it);
    }
    (name, matches)
}

#[cfg(test)]
mod tests;
