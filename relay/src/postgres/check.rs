use std::time::Duration;

use super::{PostgresError, Sql, quote_identifier};
use crate::exit::Exit;

/// What the relay has to know about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Silence of the relay after which the server gives it up; `None`: never.
    pub wal_sender_timeout: Option<Duration>,
}

/// Checks that the server and the role allow logical decoding.
///
/// # Errors
///
/// What does not, and what to run about it.
pub async fn check(sql: &Sql<'_>) -> Result<Server, PostgresError> {
    let query = "SELECT pg_catalog.current_setting('wal_level'), rolsuper OR rolreplication,
            (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),
            current_user::text, pg_catalog.pg_is_in_recovery()
        FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = sql
        .client()
        .query_one(query, &[])
        .await
        .map_err(|error| sql.failure(error))?;
    if row.get::<_, bool>(4) {
        return Err(PostgresError::Standby);
    }
    if row.get::<_, &str>(0) != "logical" {
        return Err(PostgresError::stop(
            Exit::Configuration,
            format!(
                "wal_level is {}, and logical decoding needs logical: as superuser, run: ALTER \
                 SYSTEM SET wal_level = logical; then restart the server",
                row.get::<_, &str>(0)
            ),
        ));
    }
    if !row.get::<_, bool>(1) {
        let user = row.get::<_, &str>(3);
        return Err(PostgresError::stop(
            Exit::Configuration,
            format!(
                "role {user:?} may not replicate: as superuser, run: ALTER ROLE {} REPLICATION;",
                quote_identifier(user)
            ),
        ));
    }
    let millis = row
        .get::<_, Option<i64>>(2)
        .and_then(|millis| u64::try_from(millis).ok());
    let wal_sender_timeout = millis
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis);
    Ok(Server { wal_sender_timeout })
}
