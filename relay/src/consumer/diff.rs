//! An event for the eye: one line that says what happened to which row, one for each column.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use super::message::Arrived;

const HEAD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const OLD: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();

/// Adds the message to `text`. What is no event is shown as it came.
pub(super) fn show(
    message: Arrived<'_>,
    body: Option<&Value>,
    text: &mut Vec<u8>,
) -> io::Result<()> {
    let key = printable(message.routing_key);
    let Some(event) = body.and_then(Event::of) else {
        let body = String::from_utf8_lossy(message.body);
        return writeln!(text, "{HEAD}{key}{HEAD:#}\n  {}", printable(&body));
    };
    let (name, style) = match event.action {
        "I" => ("insert", NEW),
        "U" => ("update", CHANGED),
        "D" => ("delete", OLD),
        "T" => ("truncate", OLD),
        other => (other, HEAD),
    };
    let name = printable(name);
    write!(text, "{HEAD}{key}{HEAD:#} {style}{name}{style:#}")?;
    if !event.id.is_null() {
        write!(text, " {}", value(event.id))?;
    }
    writeln!(text, " {FAINT}{}{FAINT:#}", printable(message.message_id))?;
    let rows = match event.action {
        "D" => event.old,
        _ => event.diff,
    };
    let width = rows.keys().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default().min(40);
    for (column, after) in rows {
        let name = printable(column);
        write!(text, "  {name:width$}  ")?;
        match (event.action, event.old.get(column)) {
            ("D", _) => writeln!(text, "{OLD}{}{OLD:#}", value(after))?,
            ("U", Some(before)) => writeln!(
                text,
                "{OLD}{}{OLD:#} → {NEW}{}{NEW:#}",
                value(before),
                value(after)
            )?,
            _ => writeln!(text, "{NEW}{}{NEW:#}", value(after))?,
        }
    }
    Ok(())
}

/// The parts of an event that are shown.
struct Event<'a> {
    action: &'a str,
    id: &'a Value,
    old: &'a Map<String, Value>,
    diff: &'a Map<String, Value>,
}

impl<'a> Event<'a> {
    fn of(body: &'a Value) -> Option<Self> {
        Some(Self {
            action: body.get("action")?.as_str()?,
            id: body.get("id")?,
            old: body.get("old")?.as_object()?,
            diff: body.get("diff")?.as_object()?,
        })
    }
}

fn value(value: &Value) -> String {
    printable(&value.to_string())
}

/// Text that cannot steer a terminal.
fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown, without the colours.
    fn check(body: &str, expected: &str) {
        let message = Arrived {
            routing_key: "public.users\u{9b}",
            message_id: "7-1-0",
            body: body.as_bytes(),
        };
        let parsed = serde_json::from_str(body).ok();
        let mut text = Vec::new();
        show(message, parsed.as_ref(), &mut text).expect("memory can be written to");
        let text = String::from_utf8(text).expect("UTF-8");
        let mut plain = String::new();
        for (at, part) in text.split('\u{1b}').enumerate() {
            let after = part.split_once('m').map_or("", |(_, after)| after);
            plain.push_str(if at == 0 { part } else { after });
        }
        assert_eq!(plain, expected);
    }

    #[test]
    fn an_update_shows_what_was_and_what_is() {
        check(
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"Mike","n":1.0},
                "new":{"id":1,"full_name":"Mikael","n":null},"id":1,
                "diff":{"full_name":"Mikael","n":null},"action":"U"}"#,
            "public.users\u{fffd} update 1 7-1-0\n  full_name  \"Mike\" → \"Mikael\"\n  n          1.0 → null\n",
        );
    }

    #[test]
    fn inserts_and_deletes_show_the_row() {
        check(
            r#"{"table_name":"t","old":{},"new":{"a":"x"},"id":null,"diff":{"a":"x"},"action":"I"}"#,
            "public.users\u{fffd} insert 7-1-0\n  a  \"x\"\n",
        );
        check(
            r#"{"table_name":"t","old":{"a":[1,2]},"new":{},"id":null,"diff":{},"action":"D"}"#,
            "public.users\u{fffd} delete 7-1-0\n  a  [1,2]\n",
        );
    }

    #[test]
    fn nothing_in_a_message_steers_the_terminal() {
        check("\u{1b}[2J", "public.users\u{fffd}\n  \u{fffd}[2J\n");
        check(
            r#"{"old":{},"new":{},"id":null,"diff":{"a\u001b":"\u001b[2J\u007f"},"action":"I"}"#,
            "public.users\u{fffd} insert 7-1-0\n  a\u{fffd}  \"\\u001b[2J\u{fffd}\"\n",
        );
    }
}
