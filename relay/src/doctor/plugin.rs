use pgevents_proto::PROTOCOL_VERSION;

use super::Finding;
use crate::{postgres::Postgres, replication::Probe};

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
    match (version == relay, speaks(protocol, PROTOCOL_VERSION)) {
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

/// Whether a version is among those of a greeting: `1` or `1 to 2`.
fn speaks(greeting: &str, version: u32) -> bool {
    let (first, last) = greeting.split_once(" to ").unwrap_or((greeting, greeting));
    let number = |text: &str| text.parse::<u32>().ok();
    number(first)
        .zip(number(last))
        .is_some_and(|(first, last)| (first..=last).contains(&version))
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
        let finding = judge(&probe, &crate::postgres::tests::settings());
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
        for greeting in [
            "pgevents 9.0.0, protocol 2",
            "pgevents 9.0.0, protocol 1 to 9",
        ] {
            check(Some(greeting), None, Level::Warn, "9.0.0");
        }
        for protocol in ["1", "9", "3 to 9", "x", ""] {
            let greeting = format!("pgevents 9.0.0, protocol {protocol}");
            check(
                Some(&greeting),
                None,
                Level::Fail,
                &format!("protocol {protocol}"),
            );
        }
        check(None, None, Level::Warn, "does not say its version");
    }

    #[test]
    fn a_refusal_comes_with_its_remedy() {
        check(None, Some("58P01"), Level::Fail, "pg_config --pkglibdir");
        check(None, Some("53400"), Level::Fail, "max_replication_slots");
    }
}
