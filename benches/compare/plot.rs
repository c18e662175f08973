//! Plots as SVG.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

/// Bars that belong together, with a name below them.
#[derive(Clone, Debug)]
pub struct Group {
    /// What is below.
    pub name: String,
    /// From left to right.
    pub bars: Vec<Bar>,
}

/// One bar. Bars of one name have one colour in all groups.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The name in the legend.
    pub name: &'static str,
    /// Its height; not negative.
    pub value: f64,
}

/// Lines over one horizontal axis, which is logarithmic.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What is above it.
    pub name: String,
    /// Drawn over one another.
    pub lines: Vec<Line>,
}

/// One line. Lines of one name have one colour in all panels.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name in the legend.
    pub name: &'static str,
    /// From left to right; horizontal values are positive.
    pub points: Vec<(f64, f64)>,
}

/// Names in the order of the legend, with their colours: told apart also without them, as light and
/// dark alternate. Blue is ours; the first is for a name that is not here.
const COLOURS: [(&str, RGBColor); 11] = [
    ("floor", RGBColor(160, 160, 160)),
    ("ceiling", RGBColor(160, 160, 160)),
    ("ceiling, read", RGBColor(205, 205, 205)),
    ("pgevents", RGBColor(0, 90, 180)),
    ("pgevents, backlog", RGBColor(120, 190, 240)),
    ("pgevents skip-noop", RGBColor(120, 190, 240)),
    ("pgoutput binary", RGBColor(30, 130, 70)),
    ("pgoutput text", RGBColor(150, 210, 130)),
    ("wal2json", RGBColor(200, 80, 30)),
    ("decoderbufs", RGBColor(240, 180, 90)),
    ("test_decoding", RGBColor(110, 60, 130)),
];

/// Each group gets a panel with a scale of its own, since workloads differ by orders of magnitude.
///
/// # Errors
///
/// When the file cannot be written.
pub fn bars(file: &Path, title: &str, unit: &str, groups: &[Group]) -> anyhow::Result<()> {
    draw(file, title, unit, groups).with_context(|| format!("write {}", file.display()))
}

fn draw(file: &Path, title: &str, unit: &str, groups: &[Group]) -> anyhow::Result<()> {
    let across = groups.len().clamp(1, 4);
    let down = groups.len().div_ceil(across).max(1);
    let size = (280 * across as u32 + 20, 230 * down as u32 + 80);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(70);
    head.draw(&Text::new(
        format!("{title}, {unit}"),
        (12, 10),
        ("sans-serif", 20),
    ))?;
    legend(&head, |name| {
        let named = |group: &Group| group.bars.iter().any(|bar| bar.name == name);
        groups.iter().any(named)
    })?;
    for (panel, group) in rest.split_evenly((down, across)).iter().zip(groups) {
        draw_group(panel, group)?;
    }
    root.present()?;
    Ok(())
}

/// Each panel has scales of its own.
///
/// # Errors
///
/// When the file cannot be written.
pub fn lines(file: &Path, title: &str, panels: &[Panel]) -> anyhow::Result<()> {
    draw_lines(file, title, panels).with_context(|| format!("write {}", file.display()))
}

fn draw_lines(file: &Path, title: &str, panels: &[Panel]) -> anyhow::Result<()> {
    let across = panels.len().max(1);
    let root = SVGBackend::new(file, (320 * across as u32 + 20, 330)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(70);
    head.draw(&Text::new(title, (12, 10), ("sans-serif", 20)))?;
    legend(&head, |name| {
        let named = |panel: &Panel| panel.lines.iter().any(|line| line.name == name);
        panels.iter().any(named)
    })?;
    for (area, panel) in rest.split_evenly((1, across)).iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> anyhow::Result<()> {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let first = points().map(|&(x, _)| x).fold(f64::INFINITY, f64::min);
    let last = points().map(|&(x, _)| x).fold(0.0, f64::max);
    let top = points().map(|&(_, y)| y).fold(0.0, f64::max) * 1.15;
    if first >= last || top <= 0.0 {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(&panel.name, ("sans-serif", 14))
        .x_label_area_size(26)
        .y_label_area_size(46)
        .build_cartesian_2d((first..last).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    for line in &panel.lines {
        let style = colour(line.name).stroke_width(2);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(3))?;
    }
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn legend(area: &Area<'_>, used: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let mut x = 12;
    for (name, colour) in COLOURS {
        if used(name) {
            area.draw(&Rectangle::new([(x, 44), (x + 12, 56)], colour.filled()))?;
            area.draw(&Text::new(name, (x + 17, 43), ("sans-serif", 13)))?;
            x += 32 + 7 * name.len() as i32;
        }
    }
    Ok(())
}

fn draw_group(area: &Area<'_>, group: &Group) -> anyhow::Result<()> {
    let highest = group.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * 1.15 } else { 1.0 };
    let count = group.bars.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(&group.name, ("sans-serif", 14))
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..count, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(5)
        .y_label_formatter(&|value| short(*value))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (n, bar) in group.bars.iter().enumerate() {
        let (left, right) = (n as f64 + 0.1, n as f64 + 0.9);
        let corners = [(left, 0.0), (right, bar.value)];
        chart.draw_series([Rectangle::new(corners, colour(bar.name).filled())])?;
        let place = (left, bar.value + top * 0.07);
        chart.draw_series([Text::new(short(bar.value), place, ("sans-serif", 11))])?;
    }
    Ok(())
}

fn colour(name: &str) -> RGBColor {
    let known = COLOURS.iter().find(|(known, _)| *known == name);
    known.unwrap_or(&COLOURS[0]).1
}

/// A number with about three digits.
fn short(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1_000.0),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
