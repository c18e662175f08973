use std::io::{IsTerminal, Write, stdout};

use serde_json::Value;

use super::{diff, message::Arrived};
use crate::log::one_line;

/// How messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A line with the routing key, a line with the body as it is.
    Lines,
    /// One JSON object a line.
    Json,
    /// What has changed, in colour.
    Diff,
}

impl View {
    /// The view for standard output as it is: [`View::Diff`] on a terminal whose user has not asked
    /// for `plain` text with NO_COLOR (see no-color.org).
    pub fn fitting(json: bool, plain: bool) -> Self {
        match json {
            true => Self::Json,
            false if stdout().is_terminal() && !plain => Self::Diff,
            false => Self::Lines,
        }
    }

    /// Whether it needs the body as JSON.
    pub(super) fn reads(self) -> bool {
        self != Self::Lines
    }

    /// Adds a message to `text`; `body` is its body if that is JSON and was asked for.
    pub(super) fn show(self, message: Arrived<'_>, body: Option<&Value>, text: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = match self {
            Self::Lines => lines(message, text),
            Self::Json => json(message, body, text),
            Self::Diff => diff::show(message, body, text),
        };
    }
}

fn lines(message: Arrived<'_>, text: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(text, "routing_key {}", one_line(message.routing_key))?;
    text.extend_from_slice(message.body);
    text.push(b'\n');
    Ok(())
}

/// A body that is no JSON goes as text.
fn json(message: Arrived<'_>, body: Option<&Value>, text: &mut Vec<u8>) -> std::io::Result<()> {
    let routing_key = Value::from(message.routing_key);
    let message_id = Value::from(message.message_id);
    write!(
        text,
        "{{\"routing_key\":{routing_key},\"message_id\":{message_id},\"event\":"
    )?;
    match body {
        // As it came, to the last digit; a JSON text has no bare line ends inside.
        Some(_) if !message.body.contains(&b'\n') => text.extend_from_slice(message.body),
        Some(body) => write!(text, "{body}")?,
        None => {
            let body = Value::from(String::from_utf8_lossy(message.body));
            write!(text, "{body}")?;
        }
    }
    text.extend_from_slice(b"}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(view: View, body: &str) -> String {
        let message = Arrived {
            routing_key: "public.users",
            message_id: "7-1-0",
            body: body.as_bytes(),
        };
        let parsed = serde_json::from_str(body).ok();
        let mut text = Vec::new();
        view.show(message, parsed.as_ref(), &mut text);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn lines_are_the_message_as_it_is() {
        let expected = "routing_key public.users\n{\"a\": 1.10}\n";
        assert_eq!(show(View::Lines, "{\"a\": 1.10}"), expected);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let head = "{\"routing_key\":\"public.users\",\"message_id\":\"7-1-0\",\"event\":";
        assert_eq!(
            show(View::Json, "{\"a\":1.10}"),
            format!("{head}{{\"a\":1.10}}}}\n")
        );
        assert_eq!(
            show(View::Json, "{\"a\":\n1}"),
            format!("{head}{{\"a\":1}}}}\n")
        );
        assert_eq!(
            show(View::Json, "no \"json\""),
            format!("{head}\"no \\\"json\\\"\"}}\n")
        );
    }
}
