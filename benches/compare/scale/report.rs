//! Raw numbers, tables and the plot of the curves.

use std::fmt::Write;
use std::time::Duration;

use super::curve::{Curve, Point};
use super::{Cost, Measured};
use crate::plot::{self, Line, Panel};
use crate::run_folder::{RunFolder, table};
use crate::statistics::median;

/// Writes `raw.csv`, `summary.md` and `scale.svg`.
pub fn write(
    folder: &RunFolder,
    facts: &[String],
    all: &[Measured],
    rounds: u32,
) -> anyhow::Result<()> {
    folder.write("raw.csv", &raw(all))?;
    folder.write("summary.md", &summary(facts, all, rounds))?;
    let panels: Vec<Panel> = all.iter().map(panel).collect();
    plot::lines(
        &folder.file("scale.svg"),
        "CPU time of the walsender, µs",
        &panels,
    )
}

/// One point, for whoever watches.
pub fn line(curve: &Curve, point: &Point, cost: &Cost) -> String {
    format!(
        "{} {}: floor {:.3} µs, pgevents {:.3} µs a {}",
        point.value,
        curve.grows,
        micros(&cost.floor, point.units),
        micros(&cost.pgevents, point.units),
        curve.cost_of
    )
}

/// The tables, for people.
pub fn summary(facts: &[String], all: &[Measured], rounds: u32) -> String {
    let mut text = String::from("# How the cost of decoding grows\n\n");
    for fact in facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {fact}");
    }
    let _ = writeln!(
        text,
        "- CPU time of the walsender, medians of {rounds} rounds"
    );
    for Measured { curve, costs } in all {
        let about = curve.points.first().map_or("", |p| p.workload.about);
        let _ = writeln!(text, "\n## By {}: {about}\n", curve.grows);
        let unit = curve.cost_of;
        let head = [
            curve.grows.to_owned(),
            format!("floor, µs a {unit}"),
            format!("pgevents, µs a {unit}"),
            format!("the plugin's own, µs a {unit}"),
            "of the floor".to_owned(),
        ];
        let rows: Vec<Vec<String>> = curve
            .points
            .iter()
            .zip(costs)
            .map(|(point, cost)| {
                let (floor, own) = (
                    micros(&cost.floor, point.units),
                    micros(&cost.pgevents, point.units),
                );
                vec![
                    point.value.to_string(),
                    format!("{floor:.3}"),
                    format!("{own:.3}"),
                    format!("{:.3}", own - floor),
                    format!("{:.2}", own / floor),
                ]
            })
            .collect();
        text.push_str(&table(&head, &rows));
    }
    text
}

fn raw(all: &[Measured]) -> String {
    let mut text = String::from("grows,value,contender,round,units,cpu_seconds\n");
    for Measured { curve, costs } in all {
        for (point, cost) in curve.points.iter().zip(costs) {
            for (name, times) in [("floor", &cost.floor), ("pgevents", &cost.pgevents)] {
                for (round, time) in times.iter().enumerate() {
                    let _ = writeln!(
                        text,
                        "{},{},{name},{},{},{:.6}",
                        curve.grows,
                        point.value,
                        round + 1,
                        point.units,
                        time.as_secs_f64()
                    );
                }
            }
        }
    }
    text
}

fn panel(measured: &Measured) -> Panel {
    let Measured { curve, costs } = measured;
    let line = |name: &'static str, times: fn(&Cost) -> &[Duration]| Line {
        name,
        points: curve
            .points
            .iter()
            .zip(costs)
            .map(|(point, cost)| (point.value as f64, micros(times(cost), point.units)))
            .collect(),
    };
    Panel {
        name: format!("a {} by {}", curve.cost_of, curve.grows),
        lines: vec![
            line("floor", |cost| &cost.floor),
            line("pgevents", |cost| &cost.pgevents),
        ],
    }
}

fn micros(times: &[Duration], units: u64) -> f64 {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    median(&seconds).unwrap_or_default() * 1e6 / units.max(1) as f64
}
