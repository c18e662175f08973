//! From a line of wal2json to the event. Source: wal2json README, format-version 2.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Context;
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

/// Appends the event of a change. Values stay as wal2json prints them, which differs from the
/// documented form for many types and spares this side the conversion.
pub fn write_event(line: &Line<'_>, routing_key: &str, out: &mut Vec<u8>) -> anyhow::Result<()> {
    out.extend_from_slice(b"{\"table_name\":");
    serde_json::to_writer(&mut *out, routing_key)?;
    out.extend_from_slice(b",\"old\":");
    object(line.identity.iter(), out)?;
    out.extend_from_slice(b",\"new\":");
    object(line.columns.iter(), out)?;
    out.extend_from_slice(b",\"id\":");
    let row = if line.columns.is_empty() {
        &line.identity
    } else {
        &line.columns
    };
    let id = row.iter().find(|column| column.name == "id");
    out.extend_from_slice(id.map_or("null", |column| column.value.get()).as_bytes());
    out.extend_from_slice(b",\"diff\":");
    object(
        line.columns.iter().filter(|column| differs(line, column)),
        out,
    )?;
    write!(out, ",\"action\":\"{}\"}}", line.action)?;
    Ok(())
}

fn differs(line: &Line<'_>, column: &Column<'_>) -> bool {
    let old = line.identity.iter().find(|old| old.name == column.name);
    match old {
        Some(old) => old.value.get() != column.value.get(),
        None => column.value.get() != "null",
    }
}

fn object<'a, 'b: 'a>(
    columns: impl Iterator<Item = &'a Column<'b>>,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    out.push(b'{');
    for (n, column) in columns.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &column.name)?;
        out.push(b':');
        out.extend_from_slice(column.value.get().as_bytes());
    }
    out.push(b'}');
    Ok(())
}

/// Seconds since 1970 of `2026-11-23 20:51:02.123456+00`, the form of a session in UTC.
pub fn commit_seconds(text: &str) -> anyhow::Result<u64> {
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
    seconds()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .context("read a commit's time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let line: Line<'_> = serde_json::from_str(line).expect("a line");
        let mut out = Vec::new();
        write_event(&line, "public.users", &mut out).expect("an event");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn lines_become_the_documented_event() {
        check(
            r#"{"action":"I","schema":"public","table":"users","columns":[{"name":"id","type":"integer","value":1},{"name":"full_name","type":"text","value":"Mikael"},{"name":"x","type":"text","value":null}]}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael","x":null},"id":1,"diff":{"id":1,"full_name":"Mikael"},"action":"I"}"#,
        );
        check(
            r#"{"action":"U","schema":"public","table":"users","columns":[{"name":"id","type":"integer","value":1},{"name":"n","type":"integer","value":3}],"identity":[{"name":"id","type":"integer","value":1},{"name":"n","type":"integer","value":2}]}"#,
            r#"{"table_name":"public.users","old":{"id":1,"n":2},"new":{"id":1,"n":3},"id":1,"diff":{"n":3},"action":"U"}"#,
        );
        check(
            r#"{"action":"D","schema":"public","table":"users","identity":[{"name":"id","type":"integer","value":1}]}"#,
            r#"{"table_name":"public.users","old":{"id":1},"new":{},"id":1,"diff":{},"action":"D"}"#,
        );
    }

    #[test]
    fn times_count_from_1970() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00+00", 0),
            ("2000-02-29 12:00:01.5+00", 951_825_601),
            ("2026-11-23 20:52:20.123456+00", 1_795_467_140),
        ] {
            assert_eq!(commit_seconds(text).ok(), Some(seconds), "{text}");
        }
        assert!(commit_seconds("yesterday").is_err());
    }
}
