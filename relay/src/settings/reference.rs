//! The reference of all settings, `docs/configuration.md`, from the definition behind `--help`.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use super::sources::{command, default_in_words, is_setting, variables};

const HEAD: &str = "\
# Configuration

<!-- Written by `cargo dev codegen` from the definition behind `--help`: change that instead. -->

Every setting has a flag and a variable of the environment, and can stand in a file. Where several give one, the first
of these counts:

1. the flag, `--pghost db.example`
2. the variable, `PGHOST=db.example`
3. the file that `--config FILE` or `PGEVENTS_CONFIG` names
4. the default

An empty variable counts as one that is not set. The file is TOML; a key is the flag without its dashes. Numbers, `true`
and `false` stand as they are, lists may be lists:

```toml
pghost = \"db.example\"
pguser = \"relay\"
pgpassword-file = \"/run/secrets/pg\"
pgsslmode = \"verify-full\"
pgslot = \"shop_events\"
pgtables = [\"public.users\", \"public.orders\"]
rabbitmq-url-file = \"/run/secrets/amqp\"
rabbitmq-exchange = \"shop\"
window = 4000
```

One file can serve several subcommands: each takes the keys that it knows. A key that none of them knows is refused, with
its line and the key that is nearest. A file that holds a password itself (`pgpassword`, `rabbitmq-url`) must be readable
by its owner only. Of a secret and the file that holds it, the one from the stronger place counts.

`PGEVENTS_HEALTH_FILE` is a variable only: a producer or consumer keeps that file young while it works, and `pgevents
health` looks at it.

`pgevents producer --check` prints every setting without secrets, where each comes from, and the first mistake, and opens
nothing: exit code 0 when all is right, else 2.
";

/// The whole text, in Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, &command(), "pgevents");
    text
}

fn section(text: &mut String, command: &Command, path: &str) {
    let settings: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| is_setting(arg))
        .collect();
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    if !settings.is_empty() {
        let _ = write!(
            text,
            "\n## {path}\n\n{about}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n"
        );
        for arg in settings {
            row(text, arg);
        }
        let once: Vec<String> = command
            .get_arguments()
            .filter(|arg| !is_setting(arg) && arg.get_long().is_some())
            .filter_map(|arg| Some(format!("`--{}`: {}", arg.get_long()?, help(arg))))
            .collect();
        if !once.is_empty() {
            let _ = write!(
                text,
                "\nFor one run only, so without a key in the file: {}\n",
                once.join("; ")
            );
        }
    }
    for inner in command.get_subcommands() {
        section(text, inner, &format!("{path} {}", inner.get_name()));
    }
}

fn row(text: &mut String, arg: &Arg) {
    let flag = arg.get_long().unwrap_or_default();
    let value = match arg.get_action() {
        ArgAction::SetTrue => String::new(),
        _ => arg
            .get_value_names()
            .map_or_else(String::new, |names| format!(" {}", names[0])),
    };
    let variables: Vec<String> = variables(arg)
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let default = default_in_words(arg).map_or_else(|| default_value(arg), |words| cell(&words));
    let _ = writeln!(
        text,
        "| `--{flag}{value}` | {} | {default} | {} |",
        variables.join(", "),
        cell(&help(arg)),
    );
}

fn default_value(arg: &Arg) -> String {
    let values = arg.get_default_values().iter();
    let values: Vec<String> = values
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    match (values.is_empty(), arg.get_action()) {
        (true, ArgAction::SetTrue) => "`false`".to_owned(),
        (true, _) => "none".to_owned(),
        (false, _) => values.join(","),
    }
}

/// What `--help` says, without the remarks that have a column of their own.
fn help(arg: &Arg) -> String {
    let mut words = arg.get_help().map(ToString::to_string).unwrap_or_default();
    while let Some(start) = words.find("[default:").or_else(|| words.find("[env:")) {
        let Some(length) = words[start..].find(']') else {
            break;
        };
        words.replace_range(start..=start + length, "");
    }
    let mut words = words
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" .", ".");
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let _ = write!(words, " (one of {})", values.join(", "));
    }
    words
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_says_what_it_is_and_has_a_variable() {
        fn check(command: &Command) {
            for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
                let name = arg.get_id();
                assert!(!help(arg).is_empty(), "{name} has no help");
                assert!(
                    !variables(arg).is_empty() || command.get_name() == "pgevents",
                    "{name}"
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
