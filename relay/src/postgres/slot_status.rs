use pgevents_proto::Lsn;

use super::{PLUGIN, PostgresError, Sql};

/// A replication slot as the server shows it to every role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotStatus {
    /// Output plugin; empty for a physical slot.
    pub plugin: String,
    /// Database; empty for a physical slot.
    pub database: String,
    /// `reserved`, `extended`, `unreserved` or `lost`. Source: PostgreSQL docs,
    /// "pg_replication_slots".
    pub wal_status: String,
    /// Process that streams from it at this moment.
    pub active_pid: Option<i32>,
    /// Everything before it has been acknowledged; `None` before the first time.
    pub acknowledged: Option<Lsn>,
    /// The server's position: written WAL, or replayed WAL on a standby server.
    pub current: Option<Lsn>,
    /// Bytes of WAL between the two.
    pub lag_bytes: Option<i64>,
    /// Seconds by which the reader's acknowledgement was behind lately, as the server measured it;
    /// `None`: nobody reads, nothing was written for a while, or the role may not see it (members
    /// of `pg_monitor` may). Source: PostgreSQL docs, "pg_stat_replication", `flush_lag`.
    pub lag_seconds: Option<f64>,
    /// Bytes of WAL that the server keeps for the slot; `None` when it keeps none.
    pub retained_bytes: Option<i64>,
    /// Bytes of WAL that may still be written until the slot is lost; `None`: there is no limit, or
    /// the slot is lost.
    pub safe_bytes: Option<i64>,
    /// Whether the slot is kept on standby servers too; `None` before PostgreSQL 17.
    pub failover: Option<bool>,
    /// Since when nobody reads it, as text with time zone; `None` while somebody does, and before
    /// PostgreSQL 17.
    pub inactive_since: Option<String>,
    /// Why the server gave it up; `None`: it did not, or before PostgreSQL 17.
    pub invalidation_reason: Option<String>,
}

impl SlotStatus {
    /// Looks at one slot; `None` when it does not exist.
    ///
    /// # Errors
    ///
    /// The server could not be asked.
    pub async fn of(sql: &Sql<'_>, slot: &str) -> Result<Option<Self>, PostgresError> {
        // Columns of later versions are null in the JSON of earlier ones.
        let query = "SELECT coalesce(s.plugin::text, ''), coalesce(s.database::text, ''),
                coalesce(s.wal_status, ''), s.active_pid, s.confirmed_flush_lsn::text, now.lsn::text,
                pg_catalog.pg_wal_lsn_diff(now.lsn, s.confirmed_flush_lsn)::bigint,
                pg_catalog.pg_wal_lsn_diff(now.lsn, s.restart_lsn)::bigint, s.safe_wal_size,
                (pg_catalog.to_jsonb(s) ->> 'failover')::boolean,
                pg_catalog.to_jsonb(s) ->> 'inactive_since',
                pg_catalog.to_jsonb(s) ->> 'invalidation_reason',
                (SELECT extract(epoch FROM r.flush_lag)::float8
                    FROM pg_catalog.pg_stat_replication r WHERE r.pid = s.active_pid)
            FROM pg_catalog.pg_replication_slots s, (SELECT CASE
                WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) now
            WHERE s.slot_name = $1";
        let found = sql.client().query_opt(query, &[&slot]).await;
        let row = found.map_err(|error| sql.failure(error))?;
        Ok(row.map(|row| {
            let position = |column| {
                let text: Option<&str> = row.get(column);
                text.and_then(|text| text.parse().ok())
            };
            Self {
                plugin: row.get(0),
                database: row.get(1),
                wal_status: row.get(2),
                active_pid: row.get(3),
                acknowledged: position(4),
                current: position(5),
                lag_bytes: row.get(6),
                lag_seconds: row.get(12),
                retained_bytes: row.get(7),
                safe_bytes: row.get(8),
                failover: row.get(9),
                inactive_since: row.get(10),
                invalidation_reason: row.get(11),
            }
        }))
    }

    /// Whether it is a slot of this plugin.
    pub fn is_ours(&self) -> bool {
        self.plugin == PLUGIN
    }

    /// Drops the slot `name` that this is the status of.
    ///
    /// # Errors
    ///
    /// It is in use by now, or the server refuses.
    pub async fn drop(self, sql: &Sql<'_>, name: &str) -> Result<(), PostgresError> {
        let query = "SELECT pg_catalog.pg_drop_replication_slot($1)";
        let dropped = sql.client().execute(query, &[&name]).await;
        dropped.map(|_| ()).map_err(|error| sql.failure(error))
    }
}
