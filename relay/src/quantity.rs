//! Amounts for people.

use std::fmt;

/// Bytes, in the largest binary unit of which there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub i64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0.unsigned_abs() < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut amount = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // What would print as 1024.0 is one of the next unit.
        while amount.abs() >= 1023.95 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        write!(f, "{amount:.1} {}", UNITS[unit])
    }
}

/// A time span in seconds, in its two largest units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span(pub f64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 60.0 {
            return write!(f, "{:.1} s", self.0);
        }
        let seconds = self.0 as u64;
        match seconds {
            0..3_600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3_600..86_400 => write!(f, "{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let printed = [0, 1_023, 1_024, 1_048_575, 50 << 30].map(|b| Bytes(b).to_string());
        assert_eq!(
            printed,
            ["0 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB", "50.0 GiB"]
        );
        assert_eq!(Bytes(i64::MAX).to_string(), "8192.0 PiB");
    }

    #[test]
    fn spans_have_two_units() {
        let printed = [0.25, 61.0, 7_260.0, 90_000.0].map(|s| Span(s).to_string());
        assert_eq!(printed, ["0.2 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    }
}
