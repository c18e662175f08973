use pgevents_proto::PROTOCOL_VERSION;

use super::Finding;
use crate::{config::Postgres, walsender::Probe};

/// Whether the plugin was loaded, and speaks as this relay does.
pub(super) fn judge(probe: &Probe, config: &Postgres) -> Finding {
    const CHECK: &str = "postgres.plugin";
    if let Some((code, message)) = probe.refusal.as_ref().filter(|_| !probe.timed_out()) {
        return Finding::failure(CHECK, &config.refusal(code, message));
    }
    let relay = env!("CARGO_PKG_VERSION");
    let Some(greeting) = &probe.greeting else {
        return Finding::warn(
            CHECK,
            "loads, and does not say its version",
            format!("install the plugin of release {relay}"),
        );
    };
    let (version, protocol) = greeting
        .strip_prefix("pgevents ")
        .and_then(|rest| rest.split_once(", protocol "))
        .unwrap_or((greeting, ""));
    let says = format!("version {version}, protocol {protocol}");
    match (version == relay, protocol == PROTOCOL_VERSION.to_string()) {
        (true, true) => Finding::ok(CHECK, format!("{says}, as the relay")),
        (false, true) => Finding::warn(
            CHECK,
            format!("{says}; the relay is {relay}, which understands it"),
            "install plugin and relay of one release",
        ),
        (_, false) => Finding::fail(
            CHECK,
            format!("{says}; the relay is {relay}, protocol {PROTOCOL_VERSION}"),
            "install plugin and relay of one release",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn check(greeting: Option<&str>, code: Option<&str>, level: Level, says: &str) {
        let probe = Probe {
            greeting: greeting.map(str::to_owned),
            refusal: code.map(|code| {
                (
                    code.to_owned(),
                    "could not access file \"pgevents\"".to_owned(),
                )
            }),
        };
        let finding = judge(&probe, &crate::config::tests::postgres());
        assert_eq!(finding.level, level, "{finding}");
        assert!(finding.to_string().contains(says), "{finding}");
    }

    #[test]
    fn versions_have_to_agree() {
        let same = format!(
            "pgevents {}, protocol {PROTOCOL_VERSION}",
            env!("CARGO_PKG_VERSION")
        );
        check(Some(&same), None, Level::Ok, "as the relay");
        check(Some(&same), Some("57014"), Level::Ok, "as the relay");
        check(
            Some("pgevents 9.0.0, protocol 1"),
            None,
            Level::Warn,
            "9.0.0",
        );
        check(
            Some("pgevents 9.0.0, protocol 9"),
            None,
            Level::Fail,
            "protocol 9",
        );
        check(None, None, Level::Warn, "does not say its version");
    }

    #[test]
    fn a_refusal_comes_with_its_remedy() {
        check(None, Some("58P01"), Level::Fail, "pg_config --pkglibdir");
        check(None, Some("53400"), Level::Fail, "max_replication_slots");
    }
}
