//! Every number of the page: a line of the table each.

use std::time::Instant;

use prometheus_client::registry::Unit;

use super::{Readiness, Reading, board::unix_micros, process::Usage};
use crate::{delivery::Flow, phase::Phase, postgres::SlotStatus};

/// A number of the page.
pub(super) struct Number {
    /// Name, without the unit and without `_total`.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) help: &'static str,
    /// What it counts in.
    pub(super) unit: Option<Unit>,
    /// How it is read; `None`: it is not on the page now.
    pub(super) read: fn(&View<'_>) -> Option<Value>,
}

/// What numbers are read from.
pub(super) struct View<'a> {
    reading: &'a Reading,
    flow: Flow,
    usage: Option<Usage>,
}

/// A number as it is now.
pub(super) enum Value {
    /// It only grows.
    Counter(u64),
    /// It only grows, in fractions.
    Seconds(f64),
    /// It goes up and down.
    Gauge(f64),
    /// One that only grows for each value of a label.
    Counters(&'static str, Vec<(&'static str, u64)>),
    /// 1 for one value of a label, 0 for the others.
    States(&'static str, Vec<(&'static str, bool)>),
    /// 1, with what is known as labels.
    Info(Vec<(&'static str, String)>),
}

impl<'a> View<'a> {
    /// The numbers of a reading, at this moment.
    pub(super) fn of(reading: &'a Reading) -> Self {
        Self {
            reading,
            flow: reading.flow.map(|(flow, _)| flow).unwrap_or_default(),
            usage: Usage::now(),
        }
    }

    fn slot(&self) -> Option<&SlotStatus> {
        self.reading.slot.as_ref()
    }
}

macro_rules! numbers {
    ($($name:literal $([$unit:ident])?, $help:literal, $read:expr;)+) => {
        &[$(Number {
            name: $name,
            help: $help,
            unit: numbers!(@unit $($unit)?),
            read: $read,
        }),+]
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Unit::$unit) };
}

/// All of them, in the order of the page.
pub(super) const NUMBERS: &[Number] = numbers! {
    "pgevents_events_published", "Events handed to the sink, repeated ones included",
        |v| count(v.reading.counts.published);
    "pgevents_events_confirmed", "Events that the sink has confirmed",
        |v| count(v.reading.counts.confirmed);
    "pgevents_events_returned", "Events that no queue wanted, each attempt counted",
        |v| count(v.reading.counts.returned);
    "pgevents_events_parked", "Events that went to the parking exchange",
        |v| count(v.reading.counts.parked);
    "pgevents_events_dropped", "Events that no queue wanted and that were dropped as asked",
        |v| count(v.reading.counts.dropped);
    "pgevents_events_omitted", "Events that were too large and went as markers",
        |v| count(v.reading.counts.omitted);
    "pgevents_events_nacked", "Events that the broker refused, each attempt counted",
        |v| count(v.reading.counts.nacked);
    "pgevents_transactions", "Transactions received, repeated ones included",
        |v| count(v.reading.counts.transactions);
    "pgevents_rows_filtered", "Rows that the plugin kept back by its options",
        |v| count(v.reading.counts.rows_filtered);
    "pgevents_rows_unchanged",
        "Updates that changed nothing and were kept back by the plugin (skip-noop)",
        |v| count(v.reading.counts.rows_unchanged);
    "pgevents_published" [Bytes], "Bodies of the events handed to the sink",
        |v| count(v.reading.counts.published_bytes);
    "pgevents_received" [Bytes], "Frames received from the plugin",
        |v| count(v.reading.counts.received_bytes);
    "pgevents_session_failures",
        "Sessions that a side ended; each is followed by a reconnection or by the end", |v| {
            let sides = vec![
                ("postgresql", v.reading.postgres_failures),
                ("broker", v.reading.broker_failures),
            ];
            Some(Value::Counters("side", sides))
        };
    "pgevents_state", "1 for what the relay is doing, 0 for the rest", |v| {
        let states = Phase::ALL.map(|phase| (phase.name(), phase == v.reading.phase));
        Some(Value::States("state", states.to_vec()))
    };
    "pgevents_ready", "1 while /readyz says 200",
        |v| gauge(f64::from(Readiness::of(v.reading, Instant::now()).is_ready()));
    "pgevents_broker_blocked", "1 while the broker takes no events (resource alarm)",
        |v| gauge(f64::from(v.flow.blocked));
    "pgevents_in_flight_events", "Events handed to the sink and not confirmed",
        |v| gauge(v.flow.in_flight as f64);
    "pgevents_in_flight" [Bytes], "Bodies of the events handed to the sink and not confirmed",
        |v| gauge(v.flow.in_flight_bytes as f64);
    "pgevents_lag" [Seconds],
        "Age of the oldest commit that is not acknowledged; absent as standby",
        |v| v.reading.lag_seconds(unix_micros()).map(Value::Gauge);
    // The slot as the server sees it, whoever reads it; nothing while the server cannot be asked.
    "pgevents_slot_lag" [Bytes], "WAL between what is acknowledged and the server's position",
        |v| gauge(v.slot()?.lag_bytes? as f64);
    "pgevents_slot_retained_wal" [Bytes], "WAL that the server keeps for the slot",
        |v| gauge(v.slot()?.retained_bytes? as f64);
    "pgevents_slot_safe_wal" [Bytes],
        "WAL that may still be written until the slot is lost; absent without a limit",
        |v| gauge(v.slot()?.safe_bytes? as f64);
    "pgevents_slot_active", "1 while somebody reads the slot",
        |v| gauge(f64::from(v.slot()?.active_pid.is_some()));
    "pgevents_slot_wal_status", "1 for the slot's wal_status, 0 for the rest", |v| {
        let slot = v.slot()?;
        let known = ["reserved", "extended", "unreserved", "lost"];
        let states = known.map(|status| (status, slot.wal_status == status));
        Some(Value::States("status", states.to_vec()))
    };
    "pgevents_build_info",
        "1; versions of relay, frames, plugin and server (0 before the first frame)", |v| {
            let plugin = v.reading.plugin.as_ref();
            let server = plugin.map_or(0, |hello| hello.server_version_num);
            let version = plugin.map(|hello| hello.plugin_version.clone());
            Some(Value::Info(vec![
                ("version", env!("CARGO_PKG_VERSION").to_owned()),
                ("protocol", pgevents_proto::PROTOCOL_VERSION.to_string()),
                ("plugin", version.unwrap_or_default()),
                ("postgresql", server.to_string()),
            ]))
        };
    "pgevents_process_resident_memory" [Bytes], "Resident memory",
        |v| gauge(v.usage.as_ref()?.resident_bytes as f64);
    "pgevents_process_cpu" [Seconds], "User and system CPU time",
        |v| Some(Value::Seconds(v.usage.as_ref()?.cpu_seconds));
};

fn count(value: u64) -> Option<Value> {
    Some(Value::Counter(value))
}

fn gauge(value: f64) -> Option<Value> {
    Some(Value::Gauge(value))
}
