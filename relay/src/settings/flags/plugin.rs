use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};
use pgevents_proto::Definition;

/// Flags that become options of the plugin: one for each option that is for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginArgs {
    /// Name of the option, and what was typed; an empty value counts as not given.
    pub given: Vec<(&'static str, String)>,
}

impl PluginArgs {
    /// How an operator sets an option: its variable, where that is better known, or its flag.
    pub fn setting(option: &str) -> String {
        match option {
            "tables" => "PGTABLES".to_owned(),
            option => format!("--{option}"),
        }
    }
}

impl Args for PluginArgs {
    fn augment_args(command: Command) -> Command {
        command.args(Definition::ALL.iter().filter_map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PluginArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let flags = Definition::ALL
            .iter()
            .filter(|option| option.help.is_some());
        let given = flags.filter_map(|option| Some((option.name, typed(option, matches)?)));
        self.given = given.collect();
        Ok(())
    }
}

fn flag(option: &'static Definition) -> Option<Arg> {
    let arg = match option.name {
        // As the Python pgevents has it.
        "tables" => Arg::new("pgtables")
            .long("pgtables")
            .alias("pg_tables")
            .env("PGTABLES"),
        name => Arg::new(id(name)).long(name),
    };
    let arg = arg.help(option.help?);
    Some(match option.value {
        Some(value) => arg.value_name(value),
        None => arg.action(ArgAction::SetTrue),
    })
}

fn typed(option: &Definition, matches: &ArgMatches) -> Option<String> {
    let id = id(option.name);
    match option.value {
        Some(_) => matches
            .get_one::<String>(&id)
            .filter(|value| !value.is_empty())
            .cloned(),
        None => matches.get_flag(&id).then(|| "true".to_owned()),
    }
}

/// As clap names the flags that it derives.
fn id(option: &str) -> String {
    match option {
        "tables" => "pgtables".to_owned(),
        option => option.replace('-', "_"),
    }
}
