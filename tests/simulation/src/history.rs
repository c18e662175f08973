use std::{fmt, ops::AddAssign};

/// What happened in a run, step by step if somebody wants to read it.
#[derive(Debug, Default)]
pub struct History {
    /// Lines so far; `None`: nobody reads them.
    pub lines: Option<Vec<String>>,
    /// The sums.
    pub tally: Tally,
}

impl History {
    /// Adds a line.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }
}

/// Sums over one run or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Steps of any part.
    pub steps: u64,
    /// Events that were written.
    pub events: u64,
    /// Messages that the broker took more than once.
    pub repeated: u64,
    /// Messages that came back or were refused.
    pub refused: u64,
    /// Sessions of the relay.
    pub sessions: u64,
    /// Connections cut.
    pub cuts: u64,
    /// Deaths of the relay, the server or the broker.
    pub crashes: u64,
    /// Clean stops of the relay.
    pub stops: u64,
    /// Positions that the server was told.
    pub reports: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.events += other.events;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.sessions += other.sessions;
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.reports += other.reports;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {} steps: {} events ({} repeated, {} refused), {} sessions, {} cuts, {} crashes, {} clean stops, \
             {} reports",
            self.seeds,
            self.steps,
            self.events,
            self.repeated,
            self.refused,
            self.sessions,
            self.cuts,
            self.crashes,
            self.stops,
            self.reports
        )
    }
}
