//! The documented JSON event of a change.

mod bounded;
mod number;
mod object;
mod old;
mod template;
mod text;
mod time;
mod value;

use crate::model::{Action, Change, Value};
use object::{Object, Span};
use old::OldRow;
use template::{Id, Template, Templates};
pub use time::moment_json;
pub use value::write_omitted;
use value::write_value;

/// Writes changes as JSON events; keeps its scratch memory from one to the next.
///
/// An event is UTF-8, on one line, with exactly these keys in this order:
///
/// | key | value |
/// |---|---|
/// | `table_name` | `schema.table`, raw names |
/// | `old` | what is known of the old row: all of it under REPLICA IDENTITY FULL, the identity's columns under DEFAULT and USING INDEX, else `{}` |
/// | `new` | the new row; `{}` for DELETE and TRUNCATE |
/// | `id` | the column named `id`, else the primary key (an object in key order, where it has several columns), of `new` or for DELETE of `old`; `null` where the row lacks it |
/// | `diff` | INSERT: the columns of `new` that are not NULL. UPDATE: the columns of `new` that differ from `old`, and those that `old` lacks and that are not NULL. Else `{}` |
/// | `action` | `"I"`, `"U"`, `"D"` or `"T"` |
///
/// Values are what PostgreSQL's `row_to_json` prints under `TimeZone=UTC`, `DateStyle=ISO`,
/// `IntervalStyle=postgres`, `extra_float_digits=1`, `bytea_output=hex`. Line breaks between the
/// tokens of a `json` value become blanks, and bytes that are no UTF-8 become U+FFFD. A value that
/// the plugin kept back is an object: `{"pgevents_omitted":"too_large","bytes":5000000}` (or
/// `"unreadable"`; 0 bytes where the size is unknown).
#[derive(Debug, Default)]
pub struct EventJson {
    templates: Templates,
    spans: Spans,
    scratch: Vec<u8>,
}

/// The names of the keys between the parts of an event; that of `action` is in [`action_end`].
const NEW: &[u8] = b",\"new\":";
const ID: &[u8] = b",\"id\":";
const DIFF: &[u8] = b",\"diff\":";

const NULL: &[u8] = b"null";

/// Where the columns of the rows stand in the output; `None`: the row does not have the column.
#[derive(Debug, Default)]
struct Spans {
    old: Vec<Option<Span>>,
    new: Vec<Option<Span>>,
}

impl EventJson {
    /// A writer without scratch memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the event of `change` to `out`, with nothing before or after it.
    pub fn write(&mut self, change: &Change<'_>, out: &mut Vec<u8>) {
        let (template, spans) = (self.templates.of(change.relation), &mut self.spans);
        let old = OldRow::of(change);
        out.extend_from_slice(template.head());
        spans.write_old(template, change, old, out);
        out.extend_from_slice(NEW);
        spans.write_new(template, change, old, out);
        out.extend_from_slice(ID);
        write_id(template.id(), spans.identified(change.action), out);
        out.extend_from_slice(DIFF);
        spans.write_diff(change, old, out);
        out.extend_from_slice(action_end(change.action));
    }

    /// Puts into `out` what goes in the place of the event of `change`, which would have so many
    /// `bytes`: its six keys with empty rows, so that a consumer still knows whose event it was,
    /// and two more: `"pgevents_omitted":"too_large","bytes":20000000`. An `id` of more than 1 KiB
    /// is `null`.
    pub fn omit(&mut self, change: &Change<'_>, bytes: usize, out: &mut Vec<u8>) {
        let template = self.templates.of(change.relation);
        // The memory of a huge event is not kept for small ones.
        *out = template.head().to_vec();
        out.extend_from_slice(b"{}");
        out.extend_from_slice(NEW);
        out.extend_from_slice(b"{}");
        out.extend_from_slice(ID);
        write_small_id(template, change, out);
        out.extend_from_slice(DIFF);
        out.extend_from_slice(b"{}");
        out.extend_from_slice(action_end(change.action));
        out.pop();
        out.extend_from_slice(b",\"pgevents_omitted\":\"too_large\",\"bytes\":");
        out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
        out.push(b'}');
    }
}

impl Spans {
    /// The row that an event's `id` is read from.
    fn identified(&self, action: Action) -> &[Option<Span>] {
        match action {
            Action::Delete => &self.old,
            Action::Insert | Action::Update | Action::Truncate | Action::Message => &self.new,
        }
    }

    fn write_old(
        &mut self,
        template: &Template,
        change: &Change<'_>,
        old: OldRow<'_>,
        out: &mut Vec<u8>,
    ) {
        self.old.clear();
        let mut object = Object::open(out);
        if !old.is_empty() {
            for column in 0..change.relation.columns.len() {
                let value = old.value(column);
                let known = value != Value::Absent;
                let (key, kind) = (template.key(column), change.relation.columns[column].kind);
                self.old
                    .push(known.then(|| object.column(key, kind, value)));
            }
        }
        object.close();
    }

    fn write_new(
        &mut self,
        template: &Template,
        change: &Change<'_>,
        old: OldRow<'_>,
        out: &mut Vec<u8>,
    ) {
        self.new.clear();
        let mut object = Object::open(out);
        for (column, value) in change.new.iter().flat_map(|row| row.iter().enumerate()) {
            // Formatted once: what the old row shares is copied from there.
            let span = match self.old.get(column) {
                _ if value == Value::Absent => None,
                Some(&Some(span)) if old.shares(column) => Some(object.copy(span)),
                _ => {
                    let kind = change.relation.columns[column].kind;
                    Some(object.column(template.key(column), kind, value))
                }
            };
            self.new.push(span);
        }
        object.close();
    }

    fn write_diff(&self, change: &Change<'_>, old: OldRow<'_>, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        for (column, span) in self.new.iter().enumerate() {
            if let (Some(span), Some(row)) = (*span, change.new)
                && old.differs(column, row)
            {
                object.copy(span);
            }
        }
        object.close();
    }
}

/// The end of an event, from the key `action` on.
fn action_end(action: Action) -> &'static [u8] {
    match action {
        Action::Insert => b",\"action\":\"I\"}",
        Action::Update => b",\"action\":\"U\"}",
        Action::Delete => b",\"action\":\"D\"}",
        Action::Truncate => b",\"action\":\"T\"}",
        // The decoder gives these as `Event::Message`; there is no row to show.
        Action::Message => b",\"action\":\"M\"}",
    }
}

/// The `id` of a change if it has at most 1 KiB, else `null`.
fn write_small_id(template: &Template, change: &Change<'_>, out: &mut Vec<u8>) {
    const LONGEST: usize = 1024;
    let old = OldRow::of(change);
    let value = |column: usize| match change.action {
        Action::Delete => old.value(column),
        Action::Insert | Action::Update | Action::Truncate | Action::Message => {
            change.new.map_or(Value::Absent, |row| row.get(column))
        }
    };
    // JSON makes no value shorter.
    let fits = |column: usize| match value(column) {
        Value::Bytes(bytes) => bytes.len() <= LONGEST,
        _ => true,
    };
    let start = out.len();
    let kind = |column: usize| change.relation.columns[column].kind;
    match template.id() {
        Id::Column(column) if fits(*column) => write_value(kind(*column), value(*column), out),
        Id::Columns(columns)
            if columns
                .iter()
                .all(|&column| fits(column) && value(column) != Value::Absent) =>
        {
            let mut object = Object::open(out);
            for &column in columns {
                object.column(template.key(column), kind(column), value(column));
            }
            object.close();
        }
        Id::None | Id::Column(_) | Id::Columns(_) => out.extend_from_slice(NULL),
    }
    if out.len() - start > LONGEST {
        out.truncate(start);
        out.extend_from_slice(NULL);
    }
}

fn write_id(id: &Id, row: &[Option<Span>], out: &mut Vec<u8>) {
    let span = |column: usize| row.get(column).copied().flatten();
    match id {
        Id::None => out.extend_from_slice(NULL),
        Id::Column(column) => match span(*column) {
            Some(span) => out.extend_from_within(span.value..span.end),
            None => out.extend_from_slice(NULL),
        },
        // A part of a key names no row.
        Id::Columns(columns) if columns.iter().any(|&column| span(column).is_none()) => {
            out.extend_from_slice(NULL);
        }
        Id::Columns(columns) => {
            let mut object = Object::open(out);
            for span in columns.iter().filter_map(|&column| span(column)) {
                object.copy(span);
            }
            object.close();
        }
    }
}
