use std::io::{self, Write};

use serde::Serialize;

use super::{Finding, Level};
use crate::exit::Exit;

/// All findings, in the order of the checks.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Version of the relay.
    version: &'static str,
    /// The most serious level of any finding; `skip` counts as `ok`.
    worst: Option<Level>,
    findings: Vec<Finding>,
}

impl Report {
    /// A report of these findings.
    pub fn new(findings: Vec<Finding>) -> Self {
        let has = |level| findings.iter().any(|finding| finding.level == level);
        let worst = match () {
            () if has(Level::Fail) => Level::Fail,
            () if has(Level::Warn) => Level::Warn,
            () => Level::Ok,
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            worst: Some(worst),
            findings,
        }
    }

    /// How the process ends: [`Exit::Unhealthy`] if anything failed.
    pub fn exit(&self) -> Exit {
        match self.worst {
            Some(Level::Fail) => Exit::Unhealthy,
            Some(Level::Ok | Level::Warn | Level::Skip) | None => Exit::Clean,
        }
    }

    /// Prints a line for each finding and one that counts them.
    ///
    /// # Errors
    ///
    /// The output cannot be written to.
    pub fn print(&self, output: &mut impl Write) -> io::Result<()> {
        for finding in &self.findings {
            writeln!(output, "{finding}")?;
        }
        let count = |level| {
            let same = self.findings.iter().filter(|found| found.level == level);
            same.count()
        };
        writeln!(
            output,
            "{} ok, {} to look at, {} to mend, {} not looked at",
            count(Level::Ok),
            count(Level::Warn),
            count(Level::Fail),
            count(Level::Skip)
        )
    }

    /// Prints the whole as one JSON object.
    ///
    /// # Errors
    ///
    /// The output cannot be written to.
    pub fn print_json(&self, output: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *output, self)?;
        writeln!(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(levels: &[Level]) -> Report {
        let finding = |level: &Level| Finding {
            level: *level,
            ..Finding::ok("a.check", "says")
        };
        Report::new(levels.iter().map(finding).collect())
    }

    #[test]
    fn only_a_failure_is_an_exit_code() {
        assert_eq!(report(&[]).exit(), Exit::Clean);
        assert_eq!(report(&[Level::Warn, Level::Skip]).exit(), Exit::Clean);
        assert_eq!(report(&[Level::Ok, Level::Fail]).exit(), Exit::Unhealthy);
    }

    #[test]
    fn a_finding_is_a_line_with_its_remedy() {
        let fail = Finding::fail("postgres.table", "no key", "ALTER TABLE").about("public.t");
        let report = Report::new(vec![fail]);
        let mut text = Vec::new();
        report.print(&mut text).expect("memory can be written to");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "fail  postgres.table public.t: no key; ALTER TABLE\n\
             0 ok, 0 to look at, 1 to mend, 0 not looked at\n"
        );
        let mut json = Vec::new();
        report
            .print_json(&mut json)
            .expect("memory can be written to");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["worst"], "fail");
        assert_eq!(json["findings"][0]["subject"], "public.t");
    }
}
