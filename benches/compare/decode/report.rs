//! Raw numbers, medians and plots of a decode run.

use std::fmt::Write;

use super::contender::{FLOOR, PGEVENTS};
use super::stream::Counted;
use super::workload::Workload;
use super::{Measurement, Sample};
use crate::plot::{self, Bar, Group};
use crate::run_folder::{RunFolder, table};
use crate::statistics::median;

/// The columns of the summary, in the order of the contenders' names.
const NAMES: [&str; 8] = [
    FLOOR,
    PGEVENTS,
    "pgevents skip-noop",
    "pgoutput binary",
    "pgoutput text",
    "wal2json",
    "decoderbufs",
    "test_decoding",
];

/// What the summary has a table of.
struct Quantity {
    title: &'static str,
    of: fn(&Sample) -> f64,
    digits: usize,
}

/// CPU time first: the ratios are made of it.
const QUANTITIES: [Quantity; 4] = [
    Quantity {
        title: "CPU time of the walsender, s",
        of: |sample| sample.measured.cpu.as_secs_f64(),
        digits: 3,
    },
    Quantity {
        title: "Wall time until the client has read everything, s",
        of: |sample| sample.measured.wall.as_secs_f64(),
        digits: 3,
    },
    Quantity {
        title: "Output, MB",
        of: |sample| sample.measured.counted.bytes as f64 / 1e6,
        digits: 1,
    },
    Quantity {
        title: "Messages",
        of: |sample| sample.measured.counted.messages as f64,
        digits: 0,
    },
];

/// Writes `raw.csv`, `summary.md`, `cpu.svg` and `bytes.svg`.
pub fn write(
    folder: &RunFolder,
    facts: &[String],
    workloads: &[Workload],
    samples: &[Sample],
    rounds: u32,
) -> anyhow::Result<()> {
    folder.write("raw.csv", &raw(samples))?;
    folder.write("summary.md", &summary(facts, workloads, samples, rounds))?;
    let cpu = |measured: &Measurement| measured.cpu.as_secs_f64();
    let per_change = groups(workloads, samples, &NAMES, |sample| {
        cpu(&sample.measured) * 1e6 / sample.changes as f64
    });
    plot::bars(
        &folder.file("cpu.svg"),
        "CPU time of the walsender for a change",
        "µs",
        &per_change,
    )?;
    let bytes = groups(workloads, samples, &NAMES[1..], |sample| {
        sample.measured.counted.bytes as f64 / sample.changes as f64
    });
    plot::bars(
        &folder.file("bytes.svg"),
        "Output of the plugin for a change",
        "bytes",
        &bytes,
    )
}

/// The tables, for people.
pub fn summary(
    facts: &[String],
    workloads: &[Workload],
    samples: &[Sample],
    rounds: u32,
) -> String {
    let mut text = String::from("# Output plugins side by side\n\n");
    for fact in facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {fact}");
    }
    let _ = writeln!(text, "- medians of {rounds} rounds\n\n## Workloads\n");
    for workload in workloads {
        let _ = writeln!(text, "- `{}`: {}", workload.name, workload.about);
    }
    for quantity in &QUANTITIES {
        let _ = writeln!(text, "\n## {}\n", quantity.title);
        text.push_str(&medians(workloads, samples, quantity));
    }
    let _ = writeln!(
        text,
        "\n## CPU time of pgevents as a multiple of the others'\n"
    );
    text.push_str(&ratios(workloads, samples, QUANTITIES[0].of));
    text
}

fn raw(samples: &[Sample]) -> String {
    let mut text =
        String::from("workload,contender,round,changes,cpu_seconds,wall_seconds,bytes,messages\n");
    for sample in samples {
        let Measurement { cpu, wall, counted } = sample.measured;
        let Counted { bytes, messages } = counted;
        let _ = writeln!(
            text,
            "{},{},{},{},{:.6},{:.6},{bytes},{messages}",
            sample.workload,
            sample.contender,
            sample.round,
            sample.changes,
            cpu.as_secs_f64(),
            wall.as_secs_f64(),
        );
    }
    text
}

fn medians(workloads: &[Workload], samples: &[Sample], quantity: &Quantity) -> String {
    let row = |workload: &Workload| {
        let cell = |name: &&str| {
            let value = middle(samples, &workload.name, name, &quantity.of);
            value.map_or_else(
                || "–".to_owned(),
                |value| format!("{value:.0$}", quantity.digits),
            )
        };
        let cells = NAMES.iter().map(cell);
        std::iter::once(format!("`{}`", workload.name))
            .chain(cells)
            .collect()
    };
    let rows: Vec<Vec<String>> = workloads.iter().map(row).collect();
    table(&head(&NAMES), &rows)
}

/// The median of the ratios of each round, so that what disturbed one round disturbs both sides.
fn ratios(workloads: &[Workload], samples: &[Sample], value: fn(&Sample) -> f64) -> String {
    let others: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|name| *name != PGEVENTS)
        .collect();
    let of = |workload: &str, name: &str| -> Vec<f64> {
        let mut found: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.workload == workload && sample.contender == name)
            .collect();
        found.sort_by_key(|sample| sample.round);
        found.into_iter().map(value).collect()
    };
    let row = |workload: &Workload| {
        let own = of(&workload.name, PGEVENTS);
        let cell = |name: &&str| {
            let theirs = of(&workload.name, name);
            let quotients: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a / b).collect();
            median(&quotients).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        std::iter::once(format!("`{}`", workload.name))
            .chain(others.iter().map(cell))
            .collect()
    };
    let rows: Vec<Vec<String>> = workloads.iter().map(row).collect();
    table(&head(&others), &rows)
}

fn head(names: &[&str]) -> Vec<String> {
    let names = names.iter().map(|name| (*name).to_owned());
    std::iter::once("workload".to_owned())
        .chain(names)
        .collect()
}

fn groups(
    workloads: &[Workload],
    samples: &[Sample],
    names: &[&'static str],
    value: impl Fn(&Sample) -> f64,
) -> Vec<Group> {
    let group = |workload: &Workload| Group {
        name: workload.name.replace('_', " "),
        bars: names
            .iter()
            .filter_map(|name| {
                let value = middle(samples, &workload.name, name, &value)?;
                Some(Bar { name, value })
            })
            .collect(),
    };
    workloads.iter().map(group).collect()
}

fn middle(
    samples: &[Sample],
    workload: &str,
    name: &str,
    value: &dyn Fn(&Sample) -> f64,
) -> Option<f64> {
    let matching = samples
        .iter()
        .filter(|sample| sample.workload == workload && sample.contender == name);
    median(&matching.map(value).collect::<Vec<f64>>())
}
