use super::value::write_value;
use crate::model::{Kind, Value};

/// Where `"name":value` of a column stands in the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Start of the name.
    key: usize,
    /// Start of the value.
    pub value: usize,
    /// End of the value.
    pub end: usize,
}

/// A JSON object at the end of the output.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// Nothing has been written into it.
    first: bool,
    /// Start and end of earlier output that is still to be copied: neighbours go in one piece.
    run: Option<(usize, usize)>,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            first: true,
            run: None,
        }
    }

    /// Formats one column; `key` is its name as a key.
    pub(super) fn column(&mut self, key: &[u8], kind: Kind, value: Value<'_>) -> Span {
        self.flush();
        self.comma();
        let name = self.out.len();
        self.out.extend_from_slice(key);
        let start = self.out.len();
        write_value(kind, value, self.out);
        Span {
            key: name,
            value: start,
            end: self.out.len(),
        }
    }

    /// Repeats a column that the output has already.
    pub(super) fn copy(&mut self, span: Span) -> Span {
        let start = match self.run {
            // A comma stands between the two.
            Some((start, end)) if end + 1 == span.key => start,
            _ => {
                self.flush();
                span.key
            }
        };
        self.run = Some((start, span.end));
        let key = self.out.len() + usize::from(!self.first) + (span.key - start);
        Span {
            key,
            value: key + (span.value - span.key),
            end: key + (span.end - span.key),
        }
    }

    pub(super) fn close(mut self) {
        self.flush();
        self.out.push(b'}');
    }

    fn flush(&mut self) {
        if let Some((start, end)) = self.run.take() {
            self.comma();
            self.out.extend_from_within(start..end);
        }
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
    }
}
