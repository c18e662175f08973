//! What a campaign has measured, as a table.

use std::fmt;
use std::time::Duration;

/// One fault and what came of it.
#[derive(Debug, Clone)]
pub struct Round {
    /// From 1.
    pub number: u64,
    /// What was done; rounds of one kind share it.
    pub name: String,
    /// Events that came again.
    pub duplicates: u64,
    /// How many may have.
    pub bound: u64,
    /// Sessions that the relay began.
    pub sessions: u64,
    /// Events that arrived in the second before the fault.
    pub rate: u64,
    /// From the fault until the first event arrived that was committed after it.
    pub outage: Duration,
    /// From the moment when everything could work again until that event.
    pub recovery: Duration,
}

/// All rounds.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    rounds: Vec<Round>,
    took: Duration,
    events: u64,
    duplicates: u64,
    peak_memory: u64,
}

impl Report {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rounds: Vec::new(),
            took: Duration::ZERO,
            events: 0,
            duplicates: 0,
            peak_memory: 0,
        }
    }

    /// Adds a round.
    pub fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// Adds what is known at the end: time, events written, events repeated, and the relay's
    /// highest resident memory in bytes.
    pub fn finish(&mut self, took: Duration, events: u64, duplicates: u64, peak_memory: u64) {
        self.took = took;
        self.events = events;
        self.duplicates = duplicates;
        self.peak_memory = peak_memory;
    }

    /// How many faults there were.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// What was done, each kind once, in the order of their first round.
    fn kinds(&self) -> Vec<&str> {
        let mut kinds = Vec::new();
        for round in &self.rounds {
            if !kinds.contains(&&*round.name) {
                kinds.push(&*round.name);
            }
        }
        kinds
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5}  {:<20} new event after {:>6} ms, {:>6} ms after the fault was over; {} repeated \
             (at most {}), {} sessions",
            self.number,
            self.name,
            self.outage.as_millis(),
            self.recovery.as_millis(),
            self.duplicates,
            self.bound,
            self.sessions,
        )
    }
}

impl fmt::Display for Report {
    /// Times in milliseconds: from the fault, and from its end, until the first new event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>6} {:>8} | {:>9} {:>7} | {:>22} | {:>22}",
            "", "", "events/s", "repeated", "", "new event after fault", "after its end"
        )?;
        writeln!(
            f,
            "{:<20} {:>6} {:>8} | {:>9} {:>7} | {:>6} {:>7} {:>7} | {:>6} {:>7} {:>7}",
            "fault",
            "rounds",
            "median",
            "mean",
            "most",
            "median",
            "p99",
            "most",
            "median",
            "p99",
            "most"
        )?;
        for kind in self.kinds() {
            let rounds: Vec<&Round> = self.rounds.iter().filter(|r| r.name == kind).collect();
            let repeats: Vec<u64> = rounds.iter().map(|round| round.duplicates).collect();
            let mean = repeats.iter().sum::<u64>() as f64 / repeats.len() as f64;
            let rates: Vec<u64> = rounds.iter().map(|round| round.rate).collect();
            write!(
                f,
                "{:<20} {:>6} {:>8} | {:>9.1} {:>7}",
                kind,
                rounds.len(),
                quantile(&rates, 0.5),
                mean,
                quantile(&repeats, 1.0)
            )?;
            let outage: Vec<u64> = rounds.iter().map(|r| r.outage.as_millis() as u64).collect();
            let recovery: Vec<u64> = rounds
                .iter()
                .map(|r| r.recovery.as_millis() as u64)
                .collect();
            for times in [outage, recovery] {
                let [median, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(&times, part));
                write!(f, " | {median:>6} {p99:>7} {most:>7}")?;
            }
            writeln!(f)?;
        }
        write!(
            f,
            "{} faults, {} events in {:.0} s ({:.0} a second, outages included), {} repeated: 0 lost, \
             0 gaps, 0 out of order; relay at most {:.1} MiB; seed {}",
            self.rounds.len(),
            self.events,
            self.took.as_secs_f64(),
            self.events as f64 / self.took.as_secs_f64().max(0.001),
            self.duplicates,
            self.peak_memory as f64 / f64::from(1 << 20),
            self.seed
        )
    }
}

/// The smallest value that `part` of all values do not exceed.
fn quantile(values: &[u64], part: f64) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(quantile(&values, 0.5), 100);
        assert_eq!(quantile(&values, 0.99), 198);
        assert_eq!(quantile(&values, 1.0), 200);
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
