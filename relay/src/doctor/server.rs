use super::Finding;
use crate::{
    postgres::{PostgresError, Sql},
    quantity::Bytes,
};

/// Settings of the server, and how much of them is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// `PG_VERSION_NUM`, e.g. 150020.
    pub(super) version_num: i32,
    pub(super) wal_level: String,
    pub(super) max_slots: i64,
    pub(super) slots: i64,
    pub(super) max_senders: i64,
    pub(super) senders: i64,
    /// `max_slot_wal_keep_size` in MiB; -1: no limit.
    pub(super) keep_mib: i64,
    pub(super) in_recovery: bool,
}

impl Server {
    pub(super) async fn ask(sql: &Sql<'_>) -> Result<Self, PostgresError> {
        let query = "SELECT pg_catalog.current_setting('server_version_num')::int,
                pg_catalog.current_setting('wal_level'),
                pg_catalog.current_setting('max_replication_slots')::bigint,
                (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),
                pg_catalog.current_setting('max_wal_senders')::bigint,
                (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),
                (SELECT setting::bigint FROM pg_catalog.pg_settings
                    WHERE name = 'max_slot_wal_keep_size'),
                pg_catalog.pg_is_in_recovery()";
        let row = sql.client().query_one(query, &[]).await;
        let row = row.map_err(|error| sql.failure(error))?;
        Ok(Self {
            version_num: row.get(0),
            wal_level: row.get(1),
            max_slots: row.get(2),
            slots: row.get(3),
            max_senders: row.get(4),
            senders: row.get(5),
            keep_mib: row.get(6),
            in_recovery: row.get(7),
        })
    }

    /// `has_slot`: the relay's slot is there already and needs no free place.
    pub(super) fn judge(&self, has_slot: bool) -> Vec<Finding> {
        vec![
            version(self.version_num),
            self.wal_level(),
            self.slots(has_slot),
            self.senders(),
            self.keep_size(),
        ]
    }

    fn wal_level(&self) -> Finding {
        const CHECK: &str = "postgres.wal_level";
        match self.wal_level.as_str() {
            "logical" => Finding::ok(CHECK, "logical"),
            other => Finding::fail(
                CHECK,
                format!("{other}, and logical decoding needs logical"),
                "run: ALTER SYSTEM SET wal_level = logical; then restart the server",
            ),
        }
    }

    fn slots(&self, has_slot: bool) -> Finding {
        const CHECK: &str = "postgres.slots";
        let says = format!(
            "{} of {} replication slots in use",
            self.slots, self.max_slots
        );
        let more = self.max_slots.max(5) * 2;
        let fix = format!(
            "run: ALTER SYSTEM SET max_replication_slots = {more}; then restart the server, or \
             drop a slot that nobody needs: SELECT slot_name, active FROM pg_replication_slots"
        );
        match self.max_slots - self.slots {
            ..=0 if !has_slot => Finding::fail(CHECK, says, fix),
            ..=0 => Finding::warn(CHECK, says, fix),
            _ => Finding::ok(CHECK, says),
        }
    }

    /// The doctor's own connection is not among them.
    fn senders(&self) -> Finding {
        const CHECK: &str = "postgres.walsenders";
        let says = format!("{} of {} walsenders in use", self.senders, self.max_senders);
        let more = self.max_senders.max(5) * 2;
        let fix =
            format!("run: ALTER SYSTEM SET max_wal_senders = {more}; then restart the server");
        match self.max_senders - self.senders {
            ..=0 => Finding::fail(CHECK, says, fix),
            // A relay and a standby of it, and one to look at things with.
            1 => Finding::warn(CHECK, says, fix),
            _ => Finding::ok(CHECK, says),
        }
    }

    fn keep_size(&self) -> Finding {
        const CHECK: &str = "postgres.max_slot_wal_keep_size";
        match self.keep_mib {
            ..=-1 => Finding::warn(
                CHECK,
                "no limit: a relay that is stopped for long fills the server's disk",
                "set what the disk can spare, e.g.: ALTER SYSTEM SET max_slot_wal_keep_size = \
                 '50GB'; SELECT pg_reload_conf();",
            ),
            mib => Finding::ok(
                CHECK,
                format!(
                    "{}: the slot is lost when it would keep more",
                    Bytes(mib.saturating_mul(1 << 20))
                ),
            ),
        }
    }
}

/// Minors before which decoding is known to go wrong, newest major first: the first with the fix
/// for changes lost when DDL runs concurrently (commit 4909b38af) and with that fix's own fix, for
/// memory that grows until the walsender fails (bug #18938).
const SOUND_DECODING: [(i32, i32); 5] = [(17, 6), (16, 10), (15, 14), (14, 19), (13, 22)];

/// Minors from which on only listed libraries are loaded as output plugins (CVE-2026-6471).
const PLUGIN_LIST: [(i32, i32); 5] = [(18, 6), (17, 11), (16, 15), (15, 19), (14, 24)];

fn version(version_num: i32) -> Finding {
    const CHECK: &str = "postgres.version";
    let (major, minor) = (version_num / 10_000, version_num % 10_000);
    let says = format!("PostgreSQL {major}.{minor}");
    let first = |table: &[(i32, i32)]| {
        let known = table.iter().find(|(known, _)| *known == major);
        known.map(|(_, minor)| *minor)
    };
    let upgrade = |to: i32| format!("install the latest {major}.x, at least {major}.{to}");
    if !(13..=18).contains(&major) {
        return Finding::fail(
            CHECK,
            format!("{says}: the plugin supports 13 to 18"),
            "use one of those",
        );
    }
    if let Some(sound) = first(&SOUND_DECODING).filter(|sound| minor < *sound) {
        return Finding::fail(
            CHECK,
            format!(
                "{says}: decoding can lose changes while DDL runs, or run out of memory, before \
                 {major}.{sound}"
            ),
            upgrade(sound),
        );
    }
    if let Some(listed) = first(&PLUGIN_LIST).filter(|listed| minor < *listed) {
        return Finding::warn(
            CHECK,
            format!("{says}: any role with REPLICATION can load any library (CVE-2026-6471)"),
            upgrade(listed),
        );
    }
    match major {
        13 => Finding::warn(
            CHECK,
            format!("{says}: gets no more fixes"),
            "plan the upgrade to a later major",
        ),
        _ => Finding::ok(CHECK, says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn server() -> Server {
        Server {
            version_num: 150_020,
            wal_level: "logical".to_owned(),
            max_slots: 10,
            slots: 3,
            max_senders: 10,
            senders: 2,
            keep_mib: 51_200,
            in_recovery: false,
        }
    }

    /// Expects that exactly this check is not ok.
    fn check(server: &Server, has_slot: bool, name: &str, level: Level, says: &str) {
        let findings = server.judge(has_slot);
        let bad: Vec<_> = findings.iter().filter(|f| f.level != Level::Ok).collect();
        assert_eq!(bad.len(), 1, "{bad:#?}");
        assert_eq!((bad[0].check, bad[0].level), (name, level));
        assert!(bad[0].to_string().contains(says), "{}", bad[0]);
    }

    #[test]
    fn a_server_as_it_should_be_is_ok() {
        let findings = server().judge(false);
        assert!(
            findings.iter().all(|f| f.level == Level::Ok),
            "{findings:#?}"
        );
    }

    #[test]
    fn what_is_used_up_is_a_failure_if_the_relay_needs_it() {
        let full = Server {
            slots: 10,
            ..server()
        };
        check(
            &full,
            false,
            "postgres.slots",
            Level::Fail,
            "max_replication_slots = 20",
        );
        check(&full, true, "postgres.slots", Level::Warn, "10 of 10");
        let busy = Server {
            senders: 10,
            ..server()
        };
        check(
            &busy,
            true,
            "postgres.walsenders",
            Level::Fail,
            "max_wal_senders",
        );
    }

    #[test]
    fn settings_come_with_the_statement_that_changes_them() {
        let replica = Server {
            wal_level: "replica".to_owned(),
            ..server()
        };
        let fix = "ALTER SYSTEM SET wal_level = logical";
        check(&replica, true, "postgres.wal_level", Level::Fail, fix);
        let unlimited = Server {
            keep_mib: -1,
            ..server()
        };
        let name = "postgres.max_slot_wal_keep_size";
        check(&unlimited, true, name, Level::Warn, "pg_reload_conf");
    }

    #[test]
    fn known_bugs_go_by_the_minor_version() {
        let level = |version_num| version(version_num).level;
        assert_eq!([120_022, 190_000].map(level), [Level::Fail; 2]);
        assert_eq!([150_013, 160_009, 170_005].map(level), [Level::Fail; 3]);
        assert_eq!([150_018, 170_010, 180_001].map(level), [Level::Warn; 3]);
        assert_eq!([140_024, 150_020, 180_006].map(level), [Level::Ok; 3]);
        assert_eq!(level(130_023), Level::Warn);
    }
}
