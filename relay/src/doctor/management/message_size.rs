use super::super::Finding;
use crate::quantity::Bytes;

const MIB: u64 = 1 << 20;

/// `max_message_size` of a release where nobody has set it: 16 MiB since 4.0, 128 MiB before.
fn default_limit(version: &str) -> u64 {
    let major = version.split('.').next().and_then(|text| text.parse().ok());
    match major {
        Some(0..4) => 128 * MIB,
        _ => 16 * MIB,
    }
}

/// Compares the largest event that the relay sends with what the broker takes. Neither AMQP nor the
/// management API tells the limit itself, so it is that of the release.
pub(super) fn judge(version: &str, largest: u64) -> Finding {
    const CHECK: &str = "broker.message_size";
    let limit = default_limit(version);
    let shown = |bytes: u64| Bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).to_string();
    let (sends, takes) = (shown(largest), shown(limit));
    let release = format!("RabbitMQ {version} takes {takes}, if max_message_size is not set");
    if largest <= limit {
        return Finding::ok(CHECK, format!("events up to {sends} are sent; {release}"));
    }
    let says = format!(
        "events up to {sends} are sent, and {release}: a larger one would be refused again and again"
    );
    let fix = format!(
        "set max_message_size = {largest} in rabbitmq.conf, or --max-message-bytes {limit}"
    );
    Finding::warn(CHECK, says, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_event_above_the_default_of_the_release_is_a_warning() {
        for (version, largest, level) in [
            ("4.1.0", 16 * MIB, Level::Ok),
            ("4.1.0", 16 * MIB + 1, Level::Warn),
            ("3.10.8", 128 * MIB, Level::Ok),
            ("3.10.8", 129 * MIB, Level::Warn),
            ("unknown", 17 * MIB, Level::Warn),
        ] {
            let finding = judge(version, largest);
            assert_eq!(finding.level, level, "{finding}");
        }
        let finding = judge("4.1.0", 32 * MIB).to_string();
        assert!(finding.contains("max_message_size = 33554432"), "{finding}");
    }
}
