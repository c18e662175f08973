use pgevents_proto::ColumnList;

use super::{ConfigError, given};
use crate::cli::ProducerArgs;

/// Options of the plugin as `START_REPLICATION` gets them. The plugin looks at each of them too; here a
/// mistake is found before anything is opened. The lists of tables have been read by then.
pub(super) fn plugin_options(
    args: &ProducerArgs,
) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let exclude_columns = given(&args.exclude_columns);
    let columns = exclude_columns.as_deref().map(str::parse::<ColumnList>);
    if let Some(Err(source)) = columns {
        let name = "--exclude-columns";
        return Err(ConfigError::Tables { name, source });
    }
    let lists = [
        ("tables", given(&args.pgtables)),
        ("exclude-tables", given(&args.exclude_tables)),
        ("exclude-columns", exclude_columns),
        ("actions", actions(args)?),
        ("messages", messages(args)?),
        ("origin", origin(args)?),
    ];
    let lists = lists
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let switches = [
        ("skip-noop", args.skip_noop),
        ("partition-root", args.partition_root),
    ];
    let switches = switches
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| (name, "true".to_owned()));
    let limit = args
        .max_value_bytes
        .map(|bytes| ("max-value-bytes", bytes.to_string()));
    Ok(lists.chain(switches).chain(limit).collect())
}

fn actions(args: &ProducerArgs) -> Result<Option<String>, ConfigError> {
    let known = ["insert", "update", "delete", "truncate"];
    let every = |list: &str| list.split(',').all(|word| known.contains(&word.trim()));
    let expected = "a comma list of insert, update, delete and truncate";
    checked("--actions", &args.actions, every, expected)
}

fn messages(args: &ProducerArgs) -> Result<Option<String>, ConfigError> {
    let every = |list: &str| list.split(',').all(|prefix| !prefix.trim().is_empty());
    let expected = "a comma list of prefixes, none of them empty";
    checked("--messages", &args.messages, every, expected)
}

fn origin(args: &ProducerArgs) -> Result<Option<String>, ConfigError> {
    let known = |word: &str| ["any", "none"].contains(&word);
    checked("--origin", &args.origin, known, "use any or none")
}

fn checked(
    name: &'static str,
    value: &Option<String>,
    is_good: impl Fn(&str) -> bool,
    expected: &'static str,
) -> Result<Option<String>, ConfigError> {
    match given(value) {
        Some(value) if !is_good(&value) => Err(ConfigError::Value {
            name,
            value,
            expected,
        }),
        value => Ok(value),
    }
}
