use pgevents_proto::TableList;
use tokio_postgres::Row;
use tracing::warn;

use super::{PostgresError, Sql};

/// Warns of tables in the list that do not exist. Tables can come later, so it is no error.
///
/// # Errors
///
/// The catalog could not be read.
pub async fn advise(sql: &Sql<'_>, tables: &TableList) -> Result<(), PostgresError> {
    let query = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p')";
    let rows = sql
        .client()
        .query(query, &[])
        .await
        .map_err(|error| sql.failure(error))?;
    let exists = |schema: &str, table: &str| {
        // A name of a SQL_ASCII database that is no UTF-8 is nobody's spelling.
        let is = |row: &Row, column, name| row.try_get::<_, &str>(column).is_ok_and(|n| n == name);
        rows.iter()
            .any(|row| is(row, 0, schema) && is(row, 1, table))
    };
    for (schema, table) in tables
        .patterns()
        .iter()
        .filter_map(|pattern| pattern.exact())
    {
        if !exists(schema, table) {
            warn!(
                table = %format_args!("{schema}.{table}"),
                "PGTABLES names a table that does not exist: check the spelling, or create it"
            );
        }
    }
    Ok(())
}
