use super::Finding;
use crate::postgres::{PostgresError, Sql, quote_identifier};

/// The role that the relay logs in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) superuser: bool,
    pub(super) replication: bool,
    /// Whether it sees what other roles' sessions do.
    pub(super) sees_sessions: bool,
}

impl Role {
    pub(super) async fn ask(sql: &Sql<'_>) -> Result<Self, PostgresError> {
        let query = "SELECT rolname::text, rolsuper, rolreplication,
                pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let row = sql.client().query_one(query, &[]).await;
        let row = row.map_err(|error| sql.failure(error))?;
        Ok(Self {
            name: row.get(0),
            superuser: row.get(1),
            replication: row.get(2),
            sees_sessions: row.get(3),
        })
    }

    pub(super) fn judge(&self) -> Finding {
        const CHECK: &str = "postgres.role";
        let role = quote_identifier(&self.name);
        match (self.superuser, self.replication) {
            (true, _) => Finding::warn(
                CHECK,
                format!("{role} is a superuser, and the relay needs only REPLICATION"),
                "run: CREATE ROLE relay LOGIN REPLICATION PASSWORD '…'; and use it",
            ),
            (false, true) => Finding::ok(CHECK, format!("{role} may replicate")),
            (false, false) => Finding::fail(
                CHECK,
                format!("{role} may not replicate"),
                format!("run: ALTER ROLE {role} REPLICATION;"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn check(superuser: bool, replication: bool, level: Level, says: &str) {
        let role = Role {
            name: "re\"lay".to_owned(),
            superuser,
            replication,
            sees_sessions: false,
        };
        let finding = role.judge();
        assert_eq!(finding.level, level);
        assert!(finding.to_string().contains(says), "{finding}");
    }

    #[test]
    fn a_role_needs_replication_and_no_more() {
        check(false, true, Level::Ok, "may replicate");
        check(
            false,
            false,
            Level::Fail,
            "ALTER ROLE \"re\"\"lay\" REPLICATION;",
        );
        check(true, false, Level::Warn, "superuser");
    }
}
