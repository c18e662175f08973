use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::{Board, Readiness, Reading, State, board::unix_micros, process::Usage};

/// What every number of a page is labelled with, so that several relays can share a dashboard.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The replication slot.
    pub slot: String,
    /// The database.
    pub database: String,
}

/// The page of numbers in the text format of OpenMetrics 1.0, which Prometheus reads. The names are
/// documented in docs/monitoring/README.md.
#[derive(Debug)]
pub struct Page(Registry);

/// Media type of a [`Page`].
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Page {
    /// A page of what is on the board.
    pub fn new(board: Board, identity: Identity) -> Self {
        let labels = [
            ("slot".into(), identity.slot.into()),
            ("database".into(), identity.database.into()),
        ];
        let mut registry = Registry::with_labels(labels.into_iter());
        registry.register_collector(Box::new(Numbers(board)));
        Self(registry)
    }

    /// The page as of now.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.0);
        text
    }
}

#[derive(Debug)]
struct Numbers(Board);

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let reading = self.0.read();
        let mut writer = Writer(encoder);
        counters(&mut writer, &reading)?;
        stream(&mut writer, &reading)?;
        slot(&mut writer, &reading)?;
        about(&mut writer, &reading)
    }
}

fn counters(writer: &mut Writer<'_>, reading: &Reading) -> fmt::Result {
    let c = &reading.counts;
    for (name, help, value) in [
        (
            "pgevents_events_published",
            "Events handed to the sink, repeated ones included",
            c.published,
        ),
        (
            "pgevents_events_confirmed",
            "Events that the sink has confirmed",
            c.confirmed,
        ),
        (
            "pgevents_events_returned",
            "Events that no queue wanted, each attempt counted",
            c.returned,
        ),
        (
            "pgevents_events_parked",
            "Events that went to the parking exchange",
            c.parked,
        ),
        (
            "pgevents_events_dropped",
            "Events that no queue wanted and that were dropped as asked",
            c.dropped,
        ),
        (
            "pgevents_events_omitted",
            "Events that were too large and went as markers",
            c.omitted,
        ),
        (
            "pgevents_events_nacked",
            "Events that the broker refused, each attempt counted",
            c.nacked,
        ),
        (
            "pgevents_transactions",
            "Transactions received, repeated ones included",
            c.transactions,
        ),
        (
            "pgevents_rows_filtered",
            "Rows that the plugin kept back by its options",
            c.rows_filtered,
        ),
        (
            "pgevents_rows_unchanged",
            "Updates that changed nothing and were kept back by the plugin (skip-noop)",
            c.rows_unchanged,
        ),
    ] {
        writer.counter(name, help, None, value)?;
    }
    for (name, help, value) in [
        (
            "pgevents_published",
            "Bodies of the events handed to the sink",
            c.published_bytes,
        ),
        (
            "pgevents_received",
            "Frames received from the plugin",
            c.received_bytes,
        ),
    ] {
        writer.counter(name, help, Some(&Unit::Bytes), value)?;
    }
    let sides = [
        ("postgresql", reading.postgres_failures),
        ("broker", reading.broker_failures),
    ];
    writer.by_label(
        "pgevents_session_failures",
        "Sessions that a side ended; each is followed by a reconnection or by the end",
        MetricType::Counter,
        "side",
        &sides,
    )
}

fn stream(writer: &mut Writer<'_>, reading: &Reading) -> fmt::Result {
    let states = State::ALL.map(|state| (state.name(), u64::from(state == reading.state)));
    let help = "1 for what the relay is doing, 0 for the rest";
    writer.by_label("pgevents_state", help, MetricType::Gauge, "state", &states)?;
    let ready = Readiness::of(reading, std::time::Instant::now()).is_ready();
    writer.gauge(
        "pgevents_ready",
        "1 while /readyz says 200",
        None,
        f64::from(ready),
    )?;
    let flow = reading.flow.map(|(flow, _)| flow).unwrap_or_default();
    let help = "1 while the broker takes no events (resource alarm)";
    writer.gauge(
        "pgevents_broker_blocked",
        help,
        None,
        f64::from(flow.blocked),
    )?;
    let help = "Events handed to the sink and not confirmed";
    writer.gauge(
        "pgevents_in_flight_events",
        help,
        None,
        flow.in_flight as f64,
    )?;
    let help = "Bodies of the events handed to the sink and not confirmed";
    writer.gauge(
        "pgevents_in_flight",
        help,
        Some(&Unit::Bytes),
        flow.in_flight_bytes as f64,
    )?;
    let help = "Age of the oldest commit that is not acknowledged; absent as standby";
    match reading.lag_seconds(unix_micros()) {
        Some(lag) => writer.gauge("pgevents_lag", help, Some(&Unit::Seconds), lag),
        None => Ok(()),
    }
}

/// As the server sees it, whoever reads the slot; nothing while the server cannot be asked.
fn slot(writer: &mut Writer<'_>, reading: &Reading) -> fmt::Result {
    let Some(slot) = &reading.slot else {
        return Ok(());
    };
    let bytes = Some(&Unit::Bytes);
    let help = "WAL between what is acknowledged and the server's position";
    if let Some(lag) = slot.lag_bytes {
        writer.gauge("pgevents_slot_lag", help, bytes, lag as f64)?;
    }
    let help = "WAL that the server keeps for the slot";
    if let Some(retained) = slot.retained_bytes {
        writer.gauge("pgevents_slot_retained_wal", help, bytes, retained as f64)?;
    }
    let help = "WAL that may still be written until the slot is lost; absent without a limit";
    if let Some(safe) = slot.safe_bytes {
        writer.gauge("pgevents_slot_safe_wal", help, bytes, safe as f64)?;
    }
    let help = "1 while somebody reads the slot";
    writer.gauge(
        "pgevents_slot_active",
        help,
        None,
        f64::from(slot.active_pid.is_some()),
    )?;
    let known = ["reserved", "extended", "unreserved", "lost"];
    let statuses = known.map(|status| (status, u64::from(slot.wal_status == status)));
    let help = "1 for the slot's wal_status, 0 for the rest";
    writer.by_label(
        "pgevents_slot_wal_status",
        help,
        MetricType::Gauge,
        "status",
        &statuses,
    )
}

fn about(writer: &mut Writer<'_>, reading: &Reading) -> fmt::Result {
    let plugin = reading.plugin.as_ref();
    let server = plugin.map_or(0, |hello| hello.server_version_num);
    let labels = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("protocol", pgevents_proto::PROTOCOL_VERSION.to_string()),
        (
            "plugin",
            plugin.map_or_else(String::new, |hello| hello.plugin_version.clone()),
        ),
        ("postgresql", server.to_string()),
    ];
    let help = "1; versions of relay, frames, plugin and server (0 before the first frame)";
    let mut encoder = writer.describe("pgevents_build_info", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_i64).encode(encoder.encode_family(&labels)?)?;
    let Some(usage) = Usage::now() else {
        return Ok(());
    };
    let help = "Resident memory";
    let resident = usage.resident_bytes as f64;
    writer.gauge(
        "pgevents_process_resident_memory",
        help,
        Some(&Unit::Bytes),
        resident,
    )?;
    let seconds = Some(&Unit::Seconds);
    let cpu = ConstCounter::new(usage.cpu_seconds);
    cpu.encode(writer.describe(
        "pgevents_process_cpu",
        "User and system CPU time",
        seconds,
        cpu.metric_type(),
    )?)
}

/// Writes one metric after another.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn describe<'a>(
        &'a mut self,
        name: &'a str,
        help: &'a str,
        unit: Option<&'a Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let encoder = self.describe(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        let encoder = self.describe(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    /// One metric with a number for each value of a label.
    fn by_label(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut encoder = self.describe(name, help, None, kind)?;
        for (value, number) in values {
            let labels = [(label, *value)];
            let encoder = encoder.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(*number).encode(encoder)?,
                _ => ConstGauge::new(*number as f64).encode(encoder)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        delivery::{Feed, Flow, Policy, TooLarge, Unroutable},
        postgres::SlotStatus,
    };

    const README: &str = include_str!("../../../docs/monitoring/README.md");
    const ALERTS: &str = include_str!("../../../docs/monitoring/alerts.yml");
    const DASHBOARD: &str = include_str!("../../../docs/monitoring/dashboard.json");

    /// A page with everything on it that can be on it.
    fn page() -> String {
        let board = Board::default();
        let mut feed = Feed::new(Policy {
            window_messages: 10,
            window_bytes: 1_000,
            confirm_timeout: Duration::from_secs(30),
            unroutable: Unroutable::Block,
            max_message_bytes: 1_000,
            too_large: TooLarge::Marker,
        });
        board.enter(State::Streaming);
        board.flows(Flow::default(), &mut feed);
        board.slot(Some(SlotStatus {
            wal_status: "reserved".to_owned(),
            lag_bytes: Some(1 << 40),
            retained_bytes: Some(2),
            safe_bytes: Some(3),
            ..SlotStatus::default()
        }));
        let identity = Identity {
            slot: "shop_events".to_owned(),
            database: "a\"b".to_owned(),
        };
        Page::new(board, identity).text()
    }

    /// The names of metrics in a text.
    fn names(text: &str) -> BTreeSet<&str> {
        let ends = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let places = text.match_indices("pgevents_").map(|(at, _)| &text[at..]);
        places
            .map(|rest| &rest[..rest.find(ends).unwrap_or(rest.len())])
            .filter(|name| !name.ends_with('_'))
            .collect()
    }

    fn samples(page: &str) -> BTreeSet<&str> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines
            .flat_map(|line| names(line.split('{').next().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_page_is_open_metrics_with_labels_on_every_number() {
        let page = page();
        assert!(page.ends_with("# EOF\n"), "{page}");
        let labels = "slot=\"shop_events\",database=\"a\\\"b\"";
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains(labels), "{line}");
        }
        let line = "pgevents_state{slot=\"shop_events\",database=\"a\\\"b\",state=\"streaming\"} 1";
        assert!(page.contains(line), "{page}");
        let unit = "# UNIT pgevents_slot_lag_bytes bytes";
        assert!(
            page.contains(unit) && page.contains("} 1099511627776"),
            "{page}"
        );
    }

    #[test]
    fn every_number_is_documented_and_nothing_else() {
        let page = page();
        let samples = samples(&page);
        assert_eq!(names(README), samples);
        for text in [ALERTS, DASHBOARD] {
            let unknown: Vec<_> = names(text).difference(&samples).copied().collect();
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }

    #[test]
    fn every_alert_says_what_to_do() {
        let alerts = ALERTS
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- alert: "));
        let alerts: Vec<_> = alerts.collect();
        assert!(alerts.len() > 5, "{alerts:?}");
        for alert in alerts {
            assert!(README.contains(&format!("### {alert}\n")), "{alert}");
        }
    }
}
