//! Counts to compare with.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// How much more than expected is still no fault.
const TOLERANCE: f64 = 0.05;

/// Names of cases with their instructions a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline(Vec<(String, f64)>);

impl Baseline {
    /// Adds a case.
    pub fn push(&mut self, case: String, instructions: f64) {
        self.0.push((case, instructions));
    }

    /// Reads a file of lines `case,instructions`, below a headline.
    ///
    /// # Errors
    ///
    /// When there is no such file, or a line is not of that form.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let line = |line: &str| -> anyhow::Result<(String, f64)> {
            let (case, number) = line.split_once(',').context("a line without a comma")?;
            Ok((case.to_owned(), number.parse()?))
        };
        let lines: anyhow::Result<_> = text.lines().skip(1).map(line).collect();
        Ok(Self(
            lines.with_context(|| format!("read {}", file.display()))?,
        ))
    }

    /// Writes the file that [`Baseline::read`] reads.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = String::from("case,instructions a row\n");
        for (case, instructions) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{case},{instructions:.1}");
        }
        fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Prints expected and counted side by side, and returns how many cases are above their
    /// tolerance; one that nothing is known of is.
    pub fn print_beside(&self, counted: &Self) -> usize {
        let mut worse = 0;
        for (case, now) in &counted.0 {
            let expected = self.0.iter().find(|(known, _)| known == case);
            let (verdict, expected) = match expected {
                None => ("not known", 0.0),
                Some(&(_, expected)) if *now > expected * (1.0 + TOLERANCE) => {
                    ("too many", expected)
                }
                Some(&(_, expected)) => ("ok", expected),
            };
            worse += usize::from(verdict != "ok");
            println!("{case:<16} {expected:>9.1} expected {now:>9.1} counted  {verdict}");
        }
        worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(case: &str, instructions: f64) -> Baseline {
        Baseline(vec![(case.to_owned(), instructions)])
    }

    #[test]
    fn more_than_the_tolerance_and_the_unknown_are_found() {
        let expected = one("json narrow", 100.0);
        assert_eq!(expected.print_beside(&one("json narrow", 104.0)), 0);
        assert_eq!(expected.print_beside(&one("json narrow", 50.0)), 0);
        assert_eq!(expected.print_beside(&one("json narrow", 106.0)), 1);
        assert_eq!(expected.print_beside(&one("json wide", 1.0)), 1);
    }
}
