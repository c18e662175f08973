//! The check behind "nothing lost, nothing out of order": rows numbered from 1 in commit order.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

use crate::lab::Event;

/// What arrived so far of a table whose rows are numbered 1, 2, 3 … in commit order by `id`.
#[derive(Debug, Default)]
pub struct Sequence {
    /// Highest number so far; all below it have arrived, each first occurrence in order.
    pub last: u64,
    /// Messages that arrived again.
    pub repeated: u64,
    seen: HashMap<String, (u64, u64)>,
}

impl Sequence {
    /// Takes one message in. A repeated `message_id` must be the same message, byte for byte; a
    /// new one must be the next row, or a row was lost or overtaken.
    pub fn take(&mut self, event: &Event) {
        let number = number_of(event);
        let mut hasher = DefaultHasher::new();
        event.body.hash(&mut hasher);
        let message = (number, hasher.finish());
        match self.seen.entry(event.message_id.clone()) {
            Entry::Occupied(earlier) => {
                assert_eq!(
                    *earlier.get(),
                    message,
                    "{} names two events",
                    event.message_id
                );
                self.repeated += 1;
            }
            Entry::Vacant(new) => {
                assert_eq!(number, self.last + 1, "row lost or out of order");
                new.insert(message);
                self.last = number;
            }
        }
    }
}

/// The row's number: the value of `"id"`, the fourth key of an event.
pub fn number_of(event: &Event) -> u64 {
    let text = event.text();
    let digits = text
        .rsplit_once(r#","id":"#)
        .and_then(|(_, rest)| rest.split(',').next());
    let number = digits.and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("no numeric id in {text}"))
}
