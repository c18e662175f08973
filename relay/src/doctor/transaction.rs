use super::Finding;
use crate::{
    postgres::{PostgresError, Sql},
    quantity::Span,
};

/// Age in seconds from which an open transaction is worth a warning: decoding keeps every change of
/// it until it ends, and the slot every byte of WAL since it began.
const LONG: f64 = 300.0;

/// The oldest transaction that is open, and the oldest that is prepared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OpenTransactions {
    /// Process and age in seconds of the oldest one that writes or holds a snapshot, of the
    /// sessions that the role may see.
    pub(super) oldest: Option<(i32, f64)>,
    /// Name and age in seconds of the oldest prepared one.
    pub(super) oldest_prepared: Option<(String, f64)>,
}

impl OpenTransactions {
    pub(super) async fn ask(sql: &Sql<'_>) -> Result<Self, PostgresError> {
        let open = "SELECT pid, extract(epoch FROM pg_catalog.now() - xact_start)::float8
            FROM pg_catalog.pg_stat_activity
            WHERE xact_start IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
                AND backend_type = 'client backend'
            ORDER BY xact_start LIMIT 1";
        let prepared = "SELECT gid, extract(epoch FROM pg_catalog.now() - prepared)::float8
            FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 1";
        let failure = |error| sql.failure(error);
        let open = sql.client().query_opt(open, &[]).await.map_err(failure)?;
        let prepared = sql
            .client()
            .query_opt(prepared, &[])
            .await
            .map_err(failure)?;
        Ok(Self {
            oldest: open.map(|row| (row.get(0), row.get(1))),
            oldest_prepared: prepared.map(|row| (row.get(0), row.get(1))),
        })
    }

    /// `sees_all`: the role may see the sessions of others.
    pub(super) fn judge(&self, sees_all: bool) -> Finding {
        const CHECK: &str = "postgres.transactions";
        if let Some((gid, age)) = self.oldest_prepared.as_ref().filter(|(_, age)| *age > LONG) {
            let gid = gid.replace('\'', "''");
            return Finding::warn(
                CHECK,
                format!(
                    "a prepared transaction is {} old and holds WAL back",
                    Span(*age)
                ),
                format!("end it: COMMIT PREPARED '{gid}'; or ROLLBACK PREPARED '{gid}';"),
            );
        }
        match self.oldest {
            Some((pid, age)) if age > LONG => Finding::warn(
                CHECK,
                format!("process {pid} has a transaction open since {}", Span(age)),
                format!(
                    "look at it: SELECT * FROM pg_stat_activity WHERE pid = {pid}; and end it: \
                     SELECT pg_terminate_backend({pid});"
                ),
            ),
            Some(_) | None if sees_all => Finding::ok(CHECK, "none is open for long"),
            Some(_) | None => Finding::skip(
                CHECK,
                "this role does not see the sessions of others; members of pg_read_all_stats do",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_old_transaction_is_named_with_what_ends_it() {
        let open = OpenTransactions {
            oldest: Some((7, 301.0)),
            oldest_prepared: None,
        };
        for sees_all in [true, false] {
            let finding = open.judge(sees_all);
            assert_eq!(finding.level, Level::Warn);
            assert!(finding.to_string().contains("pg_terminate_backend(7)"));
        }
        let prepared = OpenTransactions {
            oldest: None,
            oldest_prepared: Some(("it's".to_owned(), 4_000.0)),
        };
        let finding = prepared.judge(true).to_string();
        assert!(finding.contains("ROLLBACK PREPARED 'it''s'"), "{finding}");
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_ok() {
        let none = OpenTransactions::default();
        assert_eq!(none.judge(true).level, Level::Ok);
        assert_eq!(none.judge(false).level, Level::Skip);
    }
}
