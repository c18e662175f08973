//! `output_plugin_libraries`: minor releases since August 2026 load no other output plugins.

use super::{PLUGIN, PostgresError, Sql};
use crate::exit::Exit;

/// The list of a server that has the setting and never changed it.
const DEFAULT: &str = "pgoutput, test_decoding";

/// Whether the server has just refused the plugin because it is not on the list.
pub(super) fn is_refusal(message: &str) -> bool {
    message.contains("may not be used as an output plugin")
}

/// What to run when the current list cannot be asked for.
pub(super) fn remedy() -> String {
    format!(
        "as superuser, look at SHOW output_plugin_libraries, then run: {}",
        statements(DEFAULT)
    )
}

/// The refusal, with the statements that add the plugin to the current list.
pub(super) async fn refused(sql: &Sql<'_>, said: &str) -> PostgresError {
    // Only members of pg_read_all_settings may look at this setting.
    let query = "SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
            THEN pg_catalog.current_setting('output_plugin_libraries', true) END";
    let remedy = match sql.client().query_one(query, &[]).await {
        Ok(row) => match row.get::<_, Option<&str>>(0) {
            Some(current) => format!("as superuser, run: {}", statements(current)),
            None => remedy(),
        },
        Err(error) => return sql.failure(error),
    };
    PostgresError::stop(
        Exit::Configuration,
        format!("PostgreSQL refuses (42501): {said}: {remedy}"),
    )
}

fn statements(current: &str) -> String {
    let list = with_plugin(current);
    format!("ALTER SYSTEM SET output_plugin_libraries = {list}; SELECT pg_reload_conf();")
}

/// The list with the plugin at its end. ALTER SYSTEM takes the items bare or quoted one by one;
/// quotes around the whole would make it one item.
fn with_plugin(current: &str) -> String {
    let items = current
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let quoted = items
        .filter(|item| item.trim_matches('"') != PLUGIN)
        .map(|item| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            match item.bytes().all(plain) {
                true => item.to_owned(),
                false => format!("'{}'", item.trim_matches('"').replace('\'', "''")),
            }
        });
    quoted
        .chain([PLUGIN.to_owned()])
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_keeps_what_is_allowed_already() {
        assert_eq!(with_plugin(DEFAULT), "pgoutput, test_decoding, pgevents");
        assert_eq!(with_plugin(""), "pgevents");
        assert_eq!(with_plugin("pgevents, wal2json"), "wal2json, pgevents");
        assert_eq!(with_plugin("\"My-Plugin\",a"), "'My-Plugin', a, pgevents");
    }
}
