use pgevents_proto::Lsn;
use tokio_postgres::error::SqlState;

use super::{APPLICATION_NAME, PLUGIN, PostgresError, Sql, plugin_list};
use crate::exit::Exit;

/// A replication slot that can be streamed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Everything before it has been acknowledged.
    pub confirmed_flush: Lsn,
    /// Whether it has just been made.
    pub created: bool,
    /// Process that streams from it at this moment.
    pub active_pid: Option<i32>,
}

impl Slot {
    /// Whether a process is the walsender of a relay, by its kind and the name that it goes by:
    /// both are shown to every role.
    ///
    /// # Errors
    ///
    /// The server could not be asked.
    pub async fn is_read_by_relay(sql: &Sql<'_>, pid: i32) -> Result<bool, PostgresError> {
        let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_replication
            WHERE pid = $1 AND application_name = $2)";
        let found = sql
            .client()
            .query_one(query, &[&pid, &APPLICATION_NAME])
            .await;
        Ok(found.map_err(|error| sql.failure(error))?.get(0))
    }

    /// Looks for the slot; `None`: there is none of this name.
    ///
    /// # Errors
    ///
    /// The slot cannot be used: it belongs to another plugin, type or database, or is lost.
    pub async fn find(sql: &Sql<'_>, name: &str) -> Result<Option<Self>, PostgresError> {
        let query = "SELECT slot_type, plugin::text, database::text, current_database()::text,
                wal_status, confirmed_flush_lsn::text, active_pid
            FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
        let found = sql.client().query_opt(query, &[&name]).await;
        let Some(row) = found.map_err(|error| sql.failure(error))? else {
            return Ok(None);
        };
        let text = |column: usize| row.get::<_, Option<&str>>(column).unwrap_or_default();
        let (kind, plugin, database, current) = (text(0), text(1), text(2), text(3));
        if kind != "logical" || plugin != PLUGIN {
            let owner = if kind == "logical" {
                plugin
            } else {
                "physical replication"
            };
            return Err(foreign(name, owner));
        }
        if database != current {
            return Err(PostgresError::stop(
                Exit::Configuration,
                format!(
                    "slot {name:?} belongs to database {database:?}: set PGDATABASE to it, or \
                     choose another PGSLOT"
                ),
            ));
        }
        // 0/0 while somebody else is about to make it; it is in use then.
        let confirmed_flush = text(5).parse().unwrap_or(Lsn::INVALID);
        if text(4) == "lost" {
            return Err(lost(name, confirmed_flush));
        }
        Ok(Some(Self {
            confirmed_flush,
            created: false,
            active_pid: row.get(6),
        }))
    }

    /// Makes the slot, after the server has seen the end of every transaction that is open now;
    /// with `failover` (PostgreSQL 17 and later) it is kept on standby servers too.
    ///
    /// # Errors
    ///
    /// The server refuses, for one because somebody else was faster.
    pub async fn create(sql: &Sql<'_>, name: &str, failover: bool) -> Result<Self, PostgresError> {
        let query = match failover {
            true => {
                "SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot($1, $2, \
                 failover => true)"
            }
            false => "SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot($1, $2)",
        };
        match sql.client().query_one(query, &[&name, &PLUGIN]).await {
            Ok(row) => {
                let confirmed_flush = row.get::<_, &str>(0).parse().unwrap_or(Lsn::INVALID);
                Ok(Self {
                    confirmed_flush,
                    created: true,
                    active_pid: None,
                })
            }
            Err(error) => match error.as_db_error() {
                Some(said) if plugin_list::is_refusal(said.message()) => {
                    Err(plugin_list::refused(sql, said.message()).await)
                }
                // Whether the role may replicate was looked at before.
                Some(said) if said.code() == &SqlState::INSUFFICIENT_PRIVILEGE => {
                    Err(PostgresError::stop(
                        Exit::Configuration,
                        format!(
                            "PostgreSQL refuses (42501): {}: run in database {}: GRANT EXECUTE ON \
                             FUNCTION pg_catalog.pg_create_logical_replication_slot TO {};",
                            said.message(),
                            quote_identifier(&sql.config().database),
                            quote_identifier(&sql.config().user)
                        ),
                    ))
                }
                // An older server's function has no such argument.
                Some(said) if failover && said.code() == &SqlState::UNDEFINED_FUNCTION => {
                    Err(PostgresError::stop(
                        Exit::Configuration,
                        "a slot outlives a failover from PostgreSQL 17 on, and this server is \
                         older: leave out --failover",
                    ))
                }
                Some(_) | None => Err(sql.failure(error)),
            },
        }
    }
}

/// Text of an SQL identifier, in double quotes whatever it holds.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', ""))
}

fn foreign(name: &str, owner: &str) -> PostgresError {
    PostgresError::stop(
        Exit::Configuration,
        format!(
            "slot {name:?} belongs to {owner}, not to {PLUGIN}: choose another PGSLOT, or run: \
             SELECT pg_drop_replication_slot('{}');",
            name.replace('\'', "''")
        ),
    )
}

fn lost(name: &str, confirmed_flush: Lsn) -> PostgresError {
    PostgresError::stop(
        Exit::SlotLost,
        format!(
            "slot {name:?} is lost, since the server has removed WAL that it needed, so changes \
             after {confirmed_flush} are missing: run SELECT pg_drop_replication_slot('{}'); start \
             the relay again, bring consumers up to date by other means, and raise \
             max_slot_wal_keep_size",
            name.replace('\'', "''")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_cannot_leave_their_quotes() {
        assert_eq!(quote_identifier("a\"b\0c"), "\"a\"\"bc\"");
    }
}
