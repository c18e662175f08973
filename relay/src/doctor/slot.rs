use super::Finding;
use crate::{
    postgres::{SlotStatus, SlotTarget},
    quantity::Bytes,
};

/// WAL in bytes that a slot may keep while nobody reads it, before that is worth a warning.
const MUCH_WAL: i64 = 1 << 30;

/// Whether the relay can use the slot; `None`: there is none.
pub(super) fn judge(slot: Option<&SlotStatus>, target: &SlotTarget) -> Finding {
    const CHECK: &str = "postgres.slot";
    let name = &target.slot;
    let Some(slot) = slot else {
        let says =
            "does not exist; the relay makes it when it starts, and changes before are not sent";
        return Finding::ok(CHECK, says).about(name);
    };
    let drop = format!("run: pgevents slot drop --pgslot {name}");
    let finding = match slot {
        _ if !slot.is_ours() => {
            let owner = match slot.plugin.as_str() {
                "" => "physical replication",
                plugin => plugin,
            };
            Finding::fail(
                CHECK,
                format!("belongs to {owner}"),
                "choose another PGSLOT",
            )
        }
        _ if slot.database != target.postgres.database => {
            let says = format!("belongs to database {:?}", slot.database);
            Finding::fail(
                CHECK,
                says,
                "set PGDATABASE to it, or choose another PGSLOT",
            )
        }
        _ if slot.wal_status == "lost" => Finding::fail(
            CHECK,
            "is lost: the server has removed WAL that it needed, and changes are missing",
            format!("{drop}; then start anew and bring consumers up to date by other means"),
        ),
        _ => of_usable(CHECK, slot),
    };
    finding.about(name)
}

fn of_usable(check: &'static str, slot: &SlotStatus) -> Finding {
    let retained = slot.retained_bytes.unwrap_or_default();
    let reader = match slot.active_pid {
        Some(pid) => format!("read by process {pid}"),
        None => "nobody reads it".to_owned(),
    };
    let says = format!(
        "{reader}, {} behind, keeps {} of WAL",
        Bytes(slot.lag_bytes.unwrap_or_default()),
        Bytes(retained)
    );
    let hurry = "start the relay, or find out what holds it up (its log, /readyz), or raise \
                 max_slot_wal_keep_size";
    match slot.safe_bytes {
        _ if slot.wal_status == "unreserved" => Finding::warn(
            check,
            format!("{says}: will be lost at the next checkpoint"),
            hurry,
        ),
        Some(safe) if safe < retained / 4 => Finding::warn(
            check,
            format!("{says}: will be lost after {} more", Bytes(safe)),
            hurry,
        ),
        _ if slot.active_pid.is_none() && retained > MUCH_WAL => Finding::warn(
            check,
            says,
            "start the relay, or drop the slot if nobody needs it: pgevents slot drop",
        ),
        _ => Finding::ok(check, says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn slot() -> SlotStatus {
        SlotStatus {
            plugin: "pgevents".to_owned(),
            database: "shop".to_owned(),
            wal_status: "reserved".to_owned(),
            retained_bytes: Some(16 << 20),
            ..SlotStatus::default()
        }
    }

    fn check(slot: Option<&SlotStatus>, level: Level, says: &str) {
        let target = SlotTarget {
            postgres: crate::postgres::tests::settings(),
            slot: "s".to_owned(),
        };
        let finding = judge(slot, &target);
        assert_eq!(finding.level, level, "{finding}");
        assert!(finding.to_string().contains(says), "{finding}");
    }

    #[test]
    fn a_slot_that_is_missing_or_moves_is_ok() {
        check(None, Level::Ok, "makes it when it starts");
        let active = SlotStatus {
            active_pid: Some(7),
            retained_bytes: Some(5 << 30),
            ..slot()
        };
        check(Some(&active), Level::Ok, "read by process 7");
        check(Some(&slot()), Level::Ok, "keeps 16.0 MiB");
    }

    #[test]
    fn a_slot_that_cannot_be_used_is_a_failure() {
        let theirs = SlotStatus {
            plugin: "wal2json".to_owned(),
            ..slot()
        };
        check(Some(&theirs), Level::Fail, "belongs to wal2json");
        let elsewhere = SlotStatus {
            database: "other".to_owned(),
            ..slot()
        };
        check(Some(&elsewhere), Level::Fail, "PGDATABASE");
        let lost = SlotStatus {
            wal_status: "lost".to_owned(),
            ..slot()
        };
        check(Some(&lost), Level::Fail, "slot drop --pgslot s");
    }

    #[test]
    fn a_slot_in_danger_is_a_warning() {
        let full = SlotStatus {
            safe_bytes: Some(1 << 20),
            ..slot()
        };
        check(Some(&full), Level::Warn, "after 1.0 MiB more");
        let idle = SlotStatus {
            retained_bytes: Some(2 << 30),
            ..slot()
        };
        check(Some(&idle), Level::Warn, "slot drop");
        let unreserved = SlotStatus {
            wal_status: "unreserved".to_owned(),
            ..slot()
        };
        check(Some(&unreserved), Level::Warn, "next checkpoint");
    }
}
