use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    Board,
    numbers::{NUMBERS, Number, Value, View},
};

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

/// What is on the board, read anew for each page.
#[derive(Debug)]
struct Numbers(Board);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let reading = self.0.read();
        let view = View::of(&reading);
        for number in NUMBERS {
            if let Some(value) = (number.read)(&view) {
                encode(&mut encoder, number, value)?;
            }
        }
        Ok(())
    }
}

fn encode(encoder: &mut DescriptorEncoder, number: &Number, value: Value) -> fmt::Result {
    let kind = match value {
        Value::Counter(_) | Value::Seconds(_) | Value::Counters(..) => MetricType::Counter,
        Value::Gauge(_) | Value::States(..) | Value::Info(_) => MetricType::Gauge,
    };
    let unit = number.unit.as_ref();
    let mut encoder = encoder.encode_descriptor(number.name, number.help, unit, kind)?;
    match value {
        Value::Counter(value) => ConstCounter::new(value).encode(encoder),
        Value::Seconds(value) => ConstCounter::new(value).encode(encoder),
        Value::Gauge(value) => ConstGauge::new(value).encode(encoder),
        Value::Info(labels) => {
            let labels: &[(&str, String)] = &labels;
            ConstGauge::new(1_i64).encode(encoder.encode_family(&labels)?)
        }
        Value::Counters(label, values) => values.into_iter().try_for_each(|(value, count)| {
            let labels = [(label, value)];
            ConstCounter::new(count).encode(encoder.encode_family(&labels)?)
        }),
        Value::States(label, values) => values.into_iter().try_for_each(|(value, is)| {
            let labels = [(label, value)];
            ConstGauge::new(f64::from(is)).encode(encoder.encode_family(&labels)?)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        delivery::{Counts, Flow},
        metrics::Post,
        phase::Phase,
        postgres::SlotStatus,
    };

    const README: &str = include_str!("../../../docs/monitoring/README.md");
    const ALERTS: &str = include_str!("../../../docs/monitoring/alerts.yml");
    const DASHBOARD: &str = include_str!("../../../docs/monitoring/dashboard.json");

    /// A page with everything on it that can be on it.
    fn page() -> String {
        let board = Board::default();
        board.enter(Phase::Streaming);
        let post = Post {
            counts: &Counts::default(),
            oldest_commit: None,
            plugin: None,
        };
        board.flows(Flow::default(), post);
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
