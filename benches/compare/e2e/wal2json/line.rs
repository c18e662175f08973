//! A line of wal2json. Source: wal2json README, format-version 2.

use std::borrow::Cow;

use anyhow::Context;
use pgevents_proto::PG_EPOCH_UNIX_MICROS;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One line: the beginning or end of a transaction, or a change. Values are not looked into.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// `B`, `C`, `I`, `U`, `D` and others.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// Position after the commit record.
    #[serde(borrow)]
    pub nextlsn: Option<Cow<'a, str>>,
    /// When it was committed, as text with a zone.
    #[serde(borrow)]
    pub timestamp: Option<Cow<'a, str>>,
    /// Schema of the table.
    #[serde(borrow)]
    pub schema: Option<Cow<'a, str>>,
    /// The table.
    #[serde(borrow)]
    pub table: Option<Cow<'a, str>>,
    /// The new row.
    #[serde(borrow, default)]
    pub columns: Vec<Column<'a>>,
    /// The old row, or its key.
    #[serde(borrow, default)]
    pub identity: Vec<Column<'a>>,
}

/// A column of a row. Its type is skipped.
#[derive(Debug, Deserialize)]
pub struct Column<'a> {
    /// Name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Value as JSON.
    #[serde(borrow)]
    pub value: &'a RawValue,
}

/// Microseconds since 2000-01-01 00:00 UTC, up to a second too early, of `2026-11-23
/// 20:51:02.123456+00`, the form of a session in UTC.
pub fn commit_micros(text: &str) -> anyhow::Result<i64> {
    let number = |from: usize, to: usize| -> Option<i64> { text.get(from..to)?.parse().ok() };
    let seconds = || -> Option<i64> {
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        // Days since 1970 of a date; years begin in March, so that the leap day comes last.
        let (shifted_year, shifted_month) = match month {
            3.. => (year, month - 3),
            _ => (year - 1, month + 9),
        };
        let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
            + shifted_year / 400
            + (153 * shifted_month + 2) / 5
            + day
            - 719_469;
        Some(days * 86_400 + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?)
    };
    let since_1970 = seconds().context("read a commit's time")?;
    Ok(since_1970 * 1_000_000 - PG_EPOCH_UNIX_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_postgresql() {
        for (text, seconds_since_1970) in [
            ("1970-01-01 00:00:00+00", 0),
            ("2000-02-29 12:00:01.5+00", 951_825_601),
            ("2026-11-23 20:52:20.123456+00", 1_795_467_140),
        ] {
            let micros = seconds_since_1970 * 1_000_000 - PG_EPOCH_UNIX_MICROS;
            assert_eq!(commit_micros(text).ok(), Some(micros), "{text}");
        }
        assert!(commit_micros("yesterday").is_err());
    }
}
