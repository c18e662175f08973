//! Raw numbers, tables and plots of an end-to-end run.

use std::fmt::Write;

use super::{
    BACKLOG, BACKLOG_BEFORE, CEILING, CEILING_READ, Latency, Plan, QUEUES, Rate, middle_rate,
};
use crate::plot::{self, Bar, Group};
use crate::run_folder::{RunFolder, table};
use crate::statistics::median;

/// Of rates, in the order of the tables.
const SOURCES: [&str; 7] = [
    CEILING,
    BACKLOG,
    BACKLOG_BEFORE,
    "pgevents",
    "pgevents before",
    "wal2json",
    CEILING_READ,
];

const MIB: f64 = 1_048_576.0;

/// Writes `rates.csv`, `latencies.csv`, `summary.md`, `rate.svg` and `latency.svg`.
pub fn write(
    folder: &RunFolder,
    facts: &[String],
    rates: &[Rate],
    latencies: &[Latency],
    plan: Plan,
) -> anyhow::Result<()> {
    folder.write("rates.csv", &raw_rates(rates))?;
    folder.write("latencies.csv", &raw_latencies(latencies))?;
    folder.write("summary.md", &summary(facts, rates, latencies, plan))?;
    plot::bars(
        &folder.file("rate.svg"),
        "From commit to confirm",
        "events/s",
        &rate_groups(rates),
    )?;
    plot::bars(
        &folder.file("latency.svg"),
        "From commit to consumer, 99 of 100 events within",
        "ms",
        &latency_groups(latencies),
    )
}

/// One rate, for whoever watches.
pub fn rate_line(rate: &Rate) -> String {
    format!(
        "{} queue, round {}, {}: {:.0} events/s, CPU per event: relay {:.2} µs, walsender {:.2} µs, \
         broker {:.1} µs; {} duplicated",
        rate.queue,
        rate.round,
        rate.contender,
        rate.per_second(),
        micros(rate.cost.relay_cpu, rate.events),
        micros(rate.cost.walsender_cpu, rate.events),
        micros(rate.broker_cpu, rate.events),
        rate.duplicated,
    )
}

/// One latency, for whoever watches.
pub fn latency_line(latency: &Latency) -> String {
    format!(
        "{} queue, {:.0} events/s offered, {}: {:.0} achieved, p50 {:.2} ms, p99 {:.2} ms, p99.9 \
         {:.2} ms",
        latency.queue,
        latency.offered,
        latency.contender,
        latency.achieved,
        latency.p50 as f64 / 1e3,
        latency.p99 as f64 / 1e3,
        latency.p999 as f64 / 1e3,
    )
}

/// The tables, for people.
pub fn summary(facts: &[String], rates: &[Rate], latencies: &[Latency], plan: Plan) -> String {
    let mut text = String::from("# From commit to consumer\n\n");
    for fact in facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {fact}");
    }
    let Plan {
        rounds,
        events,
        seconds,
        broker_core: _,
    } = plan;
    let lost: u64 = rates.iter().map(|rate| rate.lost).sum::<u64>()
        + latencies.iter().map(|latency| latency.lost).sum::<u64>();
    let bytes = super::load::event(events).len();
    let _ = writeln!(text, "- events of {bytes} bytes; {lost} lost in all runs");
    let _ = writeln!(
        text,
        "\n## Rate: medians of {rounds} rounds of {events} events, 100 a transaction\n"
    );
    text.push_str(&rate_table(rates));
    if seconds > 0 {
        let _ = writeln!(
            text,
            "\n## Latency from commit to consumer, {seconds} s at each load\n"
        );
        text.push_str(&latency_table(latencies));
    }
    text
}

fn rate_table(rates: &[Rate]) -> String {
    let head = [
        "queue, source",
        "events/s",
        "of the ceiling",
        "relay CPU, µs/event",
        "walsender CPU, µs/event",
        "broker CPU, µs/event",
        "relay RSS, MiB",
        "relay peak RSS, MiB",
        "walsender RSS, MiB",
        "duplicated",
    ];
    let mut rows = Vec::new();
    for queue in QUEUES {
        for contender in SOURCES {
            rows.extend(rate_row(rates, queue, contender));
        }
    }
    table(&head.map(str::to_owned), &rows)
}

fn rate_row(rates: &[Rate], queue: &str, contender: &str) -> Option<Vec<String>> {
    let matching: Vec<&Rate> = rates
        .iter()
        .filter(|rate| rate.queue == queue && rate.contender == contender)
        .collect();
    let middle = |value: &dyn Fn(&Rate) -> f64| {
        let values: Vec<f64> = matching.iter().map(|rate| value(rate)).collect();
        median(&values)
    };
    let relay = |value: Option<f64>, digits: usize| match value {
        Some(value) if ![CEILING, CEILING_READ].contains(&contender) => format!("{value:.digits$}"),
        Some(_) | None => "–".to_owned(),
    };
    let per_second = middle(&Rate::per_second)?;
    // Round by round: what disturbs a round disturbs both sides.
    let shares: Vec<f64> = matching
        .iter()
        .filter_map(|rate| {
            let same = |other: &&Rate| {
                other.queue == queue && other.contender == CEILING && other.round == rate.round
            };
            Some(rate.per_second() / rates.iter().find(same)?.per_second())
        })
        .collect();
    let duplicated: u64 = matching.iter().map(|rate| rate.duplicated).sum();
    Some(vec![
        format!("{queue}, {contender}"),
        format!("{per_second:.0}"),
        median(&shares).map_or_else(|| "–".to_owned(), |share| format!("{share:.2}")),
        relay(middle(&|rate| micros(rate.cost.relay_cpu, rate.events)), 2),
        relay(
            middle(&|rate| micros(rate.cost.walsender_cpu, rate.events)),
            2,
        ),
        format!(
            "{:.1}",
            middle(&|rate| micros(rate.broker_cpu, rate.events))?
        ),
        relay(middle(&|rate| rate.cost.relay_bytes as f64 / MIB), 1),
        relay(middle(&|rate| rate.cost.relay_peak_bytes as f64 / MIB), 1),
        relay(middle(&|rate| rate.cost.walsender_bytes as f64 / MIB), 1),
        duplicated.to_string(),
    ])
}

fn latency_table(latencies: &[Latency]) -> String {
    let head = [
        "queue, source",
        "offered, events/s",
        "rows a transaction",
        "committed, events/s",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "highest, ms",
        "relay CPU, µs/event",
        "walsender CPU, µs/event",
        "relay RSS, MiB",
        "duplicated",
    ];
    let millis = |value: i64| format!("{:.2}", value as f64 / 1e3);
    let row = |latency: &Latency| {
        vec![
            format!("{}, {}", latency.queue, latency.contender),
            format!("{:.0}", latency.offered),
            latency.rows.to_string(),
            format!("{:.0}", latency.achieved),
            millis(latency.p50),
            millis(latency.p99),
            millis(latency.p999),
            millis(latency.highest),
            format!("{:.1}", micros(latency.cost.relay_cpu, latency.events)),
            format!("{:.1}", micros(latency.cost.walsender_cpu, latency.events)),
            format!("{:.1}", latency.cost.relay_bytes as f64 / MIB),
            latency.duplicated.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = latencies.iter().map(row).collect();
    table(&head.map(str::to_owned), &rows)
}

fn raw_rates(rates: &[Rate]) -> String {
    let mut text = String::from(
        "queue,contender,round,events,seconds,relay_cpu_seconds,walsender_cpu_seconds,\
         broker_cpu_seconds,relay_rss_bytes,relay_peak_rss_bytes,walsender_rss_bytes,lost,\
         duplicated\n",
    );
    for rate in rates {
        let cost = rate.cost;
        let _ = writeln!(
            text,
            "{},{},{},{},{:.6},{:.6},{:.6},{:.6},{},{},{},{},{}",
            rate.queue,
            rate.contender,
            rate.round,
            rate.events,
            rate.took.as_secs_f64(),
            cost.relay_cpu.as_secs_f64(),
            cost.walsender_cpu.as_secs_f64(),
            rate.broker_cpu.as_secs_f64(),
            cost.relay_bytes,
            cost.relay_peak_bytes,
            cost.walsender_bytes,
            rate.lost,
            rate.duplicated,
        );
    }
    text
}

fn raw_latencies(latencies: &[Latency]) -> String {
    let mut text = String::from(
        "queue,contender,offered_events_per_second,rows_per_transaction,events,\
         committed_events_per_second,p50_us,p99_us,p999_us,highest_us,relay_cpu_seconds,\
         walsender_cpu_seconds,relay_rss_bytes,walsender_rss_bytes,lost,duplicated\n",
    );
    for latency in latencies {
        let cost = latency.cost;
        let _ = writeln!(
            text,
            "{},{},{:.1},{},{},{:.1},{},{},{},{},{:.6},{:.6},{},{},{},{}",
            latency.queue,
            latency.contender,
            latency.offered,
            latency.rows,
            latency.events,
            latency.achieved,
            latency.p50,
            latency.p99,
            latency.p999,
            latency.highest,
            cost.relay_cpu.as_secs_f64(),
            cost.walsender_cpu.as_secs_f64(),
            cost.relay_bytes,
            cost.walsender_bytes,
            latency.lost,
            latency.duplicated,
        );
    }
    text
}

fn rate_groups(rates: &[Rate]) -> Vec<Group> {
    let group = |queue: &&str| Group {
        name: format!("{queue} queue"),
        bars: SOURCES
            .into_iter()
            .filter_map(|name| {
                let value = middle_rate(rates, queue, name)?;
                Some(Bar { name, value })
            })
            .collect(),
    };
    QUEUES.iter().map(group).collect()
}

fn latency_groups(latencies: &[Latency]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for latency in latencies {
        let name = format!("{} queue, {:.0} events/s", latency.queue, latency.offered);
        let bar = Bar {
            name: latency.contender,
            value: latency.p99 as f64 / 1e3,
        };
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group {
                name,
                bars: vec![bar],
            }),
        }
    }
    groups
}

fn micros(cpu: std::time::Duration, events: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / events.max(1) as f64
}
