//! Where settings come from: a flag, else a variable of the environment, else the file of
//! `--config`, else the default. Names, ranges and defaults are those of [`super::flags`], so that
//! there is one definition of every setting.

mod effective;
mod file;

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, parser::ValueSource};

use super::flags::Cli;
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
    file: Option<File>,
}

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
        let mut command = from_environment(command());
        let mut matches = command.clone().try_get_matches_from(words.clone())?;
        let mut file = None;
        if let Some(path) = path_of_file(&matches) {
            let read = File::read(&path, &command)?;
            command = with_defaults(command, &read);
            matches = command.clone().try_get_matches_from(words.clone())?;
            file = Some(read);
        }
        let weaker = weaker_secrets(&matches);
        if !weaker.is_empty() {
            matches = without(command, &weaker).try_get_matches_from(words)?;
        }
        Ok(Self { matches, file })
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
        let typed = |id: &str| strength(matches, id) == Some(ValueSource::CommandLine);
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
fn from_environment(command: Command) -> Command {
    let is_set = |name: &OsString| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    command.mut_subcommands(from_environment).mut_args(|arg| {
        let Some(name) = arg.get_env().map(OsString::from) else {
            return arg;
        };
        let names = variables_of(&arg).map(|names| names.iter().map(OsString::from).collect());
        let mut names = names.unwrap_or_else(|| vec![name]).into_iter();
        match names.find(is_set) {
            Some(name) => arg.env(name),
            None => arg.env(None::<&'static str>),
        }
    })
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
fn with_defaults(command: Command, file: &File) -> Command {
    let command = command.mut_subcommands(|inner| with_defaults(inner, file));
    command.mut_args(|arg| match file.entry(&arg) {
        Some(entry) => arg.default_value(entry.value.clone()),
        None => arg,
    })
}

/// Secrets that a file from a stronger place stands in for. None of them was typed.
fn weaker_secrets(matches: &ArgMatches) -> Vec<&'static str> {
    let (_, matches) = leaf(matches);
    let weaker = SECRETS.into_iter().filter(|(secret, file)| {
        file.is_some_and(|file| strength(matches, file) > strength(matches, secret))
    });
    weaker.map(|(secret, _)| secret).collect()
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

/// Where a value comes from, the stronger the greater; `None`: there is none, or no such flag.
fn strength(matches: &ArgMatches, id: &str) -> Option<ValueSource> {
    matches.try_contains_id(id).ok().filter(|given| *given)?;
    matches.value_source(id)
}

#[cfg(test)]
mod tests;
