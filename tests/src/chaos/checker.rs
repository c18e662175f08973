//! The rules behind "nothing lost, nothing out of order, repeats bounded". Pure: no clock, no I/O.
//!
//! The writer numbers its rows 1, 2, 3 … in commit order. The consumer's side is told every message
//! as it arrives, and objects at once; the oracle's side is told what two other slots of the same
//! database say was committed, and objects to any difference.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::violation::Violation;

/// One message as the consumer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The number in the event, from 1.
    pub number: u64,
    /// The property `message_id`.
    pub id: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// Whether the broker says that it delivered this message before.
    pub redelivered: bool,
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next event.
    New,
    /// An event that the relay has sent again.
    Duplicate,
    /// A message that the broker has delivered again; the relay has no part in it.
    Redelivered,
}

/// Everything that has arrived and everything that should.
#[derive(Debug, Default)]
pub struct Checker {
    /// For number n at n - 1: what arrived first.
    seen: Vec<Sighting>,
    /// For number n at n - 1: the body that a second slot of the plugin decodes.
    expected: Vec<u64>,
    /// Numbers that PostgreSQL's own `test_decoding` has decoded, from 1 without a gap.
    committed: u64,
    duplicates: u64,
}

/// Hashes: a million events take 16 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    id: u64,
    body: u64,
}

impl Checker {
    /// Takes a message in.
    ///
    /// # Errors
    ///
    /// [`Violation::Gap`] when an event before it is missing, [`Violation::Changed`] when a
    /// repeated event is not what it was, [`Violation::Unexpected`] when the database holds another
    /// one.
    pub fn arrived(&mut self, message: &Message<'_>) -> Result<Arrival, Violation> {
        let sighting = Sighting {
            id: hash(message.id.as_bytes()),
            body: hash(message.body),
        };
        let number = message.number;
        let last = self.last();
        if number > last + 1 || number == 0 {
            return Err(Violation::Gap {
                last,
                found: number,
            });
        }
        if number == last + 1 {
            self.seen.push(sighting);
            return match self.expected.get(number as usize - 1) {
                Some(expected) if *expected != sighting.body => {
                    Err(Violation::Unexpected { number })
                }
                Some(_) | None => Ok(Arrival::New),
            };
        }
        if self.seen[number as usize - 1] != sighting {
            return Err(Violation::Changed { number });
        }
        if message.redelivered {
            return Ok(Arrival::Redelivered);
        }
        self.duplicates += 1;
        Ok(Arrival::Duplicate)
    }

    /// The second slot says that this is the event of a number. A slot whose position went back in
    /// a crash says the same again.
    ///
    /// # Errors
    ///
    /// [`Violation::Unexpected`] when something else has arrived, [`Violation::Oracle`] when the
    /// numbers are not those of the commit order.
    pub fn expect(&mut self, number: u64, body: &[u8]) -> Result<(), Violation> {
        let body = hash(body);
        let known = self.expected.len() as u64;
        if number == 0 || number > known + 1 {
            return Err(Violation::Oracle {
                last: known,
                found: number,
            });
        }
        if number == known + 1 {
            self.expected.push(body);
        }
        let place = number as usize - 1;
        match self.seen.get(place) {
            Some(seen) if seen.body != body => Err(Violation::Unexpected { number }),
            Some(_) | None if self.expected[place] != body => Err(Violation::Unexpected { number }),
            Some(_) | None => Ok(()),
        }
    }

    /// `test_decoding` says that a row with this number was committed next.
    ///
    /// # Errors
    ///
    /// [`Violation::Oracle`] when the numbers are not those of the commit order.
    pub fn committed(&mut self, number: u64) -> Result<(), Violation> {
        if number == 0 || number > self.committed + 1 {
            return Err(Violation::Oracle {
                last: self.committed,
                found: number,
            });
        }
        self.committed = self.committed.max(number);
        Ok(())
    }

    /// Everything that both oracles say was committed before a position that the relay has
    /// acknowledged must have arrived by now.
    ///
    /// # Errors
    ///
    /// [`Violation::Early`] otherwise.
    pub fn acknowledged(&self) -> Result<(), Violation> {
        let acknowledged = self.expected.len() as u64;
        match self.last() < acknowledged {
            true => Err(Violation::Early {
                last: self.last(),
                acknowledged,
            }),
            false => Ok(()),
        }
    }

    /// The end: the writer has committed so many rows, and the oracles have said all they know.
    ///
    /// # Errors
    ///
    /// [`Violation::Lost`] when something has not arrived, [`Violation::Oracle`] when writer and
    /// oracles differ, [`Violation::SharedId`] when two events have one `message_id`.
    pub fn complete(&self, written: u64) -> Result<(), Violation> {
        for known in [self.expected.len() as u64, self.committed] {
            if known != written {
                return Err(Violation::Oracle {
                    last: known,
                    found: written,
                });
            }
        }
        let last = self.last();
        if last != written {
            return Err(Violation::Lost { last, written });
        }
        let mut ids: Vec<u64> = self.seen.iter().map(|sighting| sighting.id).collect();
        ids.sort_unstable();
        match ids.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(Violation::SharedId),
            false => Ok(()),
        }
    }

    /// Highest number that has arrived; all below it have too.
    pub fn last(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Highest number that the second slot has decoded.
    pub fn expected(&self) -> u64 {
        self.expected.len() as u64
    }

    /// Events that the relay has sent again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(checker: &mut Checker, number: u64) -> Result<Arrival, Violation> {
        let (id, body) = (format!("key-{number}"), format!("body {number}"));
        checker.arrived(&Message {
            number,
            id: &id,
            body: body.as_bytes(),
            redelivered: false,
        })
    }

    fn checker_with(last: u64) -> Checker {
        let mut checker = Checker::default();
        for number in 1..=last {
            assert_eq!(take(&mut checker, number), Ok(Arrival::New));
        }
        checker
    }

    fn oracles_say(checker: &mut Checker, last: u64) {
        for number in 1..=last {
            let body = format!("body {number}");
            assert_eq!(checker.expect(number, body.as_bytes()), Ok(()));
            assert_eq!(checker.committed(number), Ok(()));
        }
    }

    #[test]
    fn a_run_with_repeats_in_order_is_clean() {
        let mut checker = checker_with(5);
        for number in 3..=5 {
            assert_eq!(take(&mut checker, number), Ok(Arrival::Duplicate));
        }
        assert_eq!(take(&mut checker, 6), Ok(Arrival::New));
        oracles_say(&mut checker, 6);
        assert_eq!((checker.last(), checker.duplicates()), (6, 3));
        assert_eq!(checker.acknowledged(), Ok(()));
        assert_eq!(checker.complete(6), Ok(()));
    }

    #[test]
    fn an_event_before_its_predecessor_is_a_gap() {
        let mut checker = checker_with(5);
        let gap = Violation::Gap { last: 5, found: 7 };
        assert_eq!(take(&mut checker, 7), Err(gap));
        let zero = Violation::Gap { last: 5, found: 0 };
        assert_eq!(take(&mut checker, 0), Err(zero));
    }

    #[test]
    fn a_repeat_with_another_body_or_id_is_found() {
        let mut checker = checker_with(5);
        let message = Message {
            number: 4,
            id: "key-4",
            body: b"body 4",
            redelivered: false,
        };
        for changed in [
            Message {
                id: "key-5",
                ..message
            },
            Message {
                body: b"body  4",
                ..message
            },
            Message {
                redelivered: true,
                body: b"",
                ..message
            },
        ] {
            let found = checker.arrived(&changed);
            assert_eq!(found, Err(Violation::Changed { number: 4 }));
        }
        let again = Message {
            redelivered: true,
            ..message
        };
        assert_eq!(checker.arrived(&again), Ok(Arrival::Redelivered));
        assert_eq!(checker.duplicates(), 0);
    }

    #[test]
    fn a_body_that_the_database_does_not_hold_is_found_whichever_comes_first() {
        let found = Violation::Unexpected { number: 2 };
        let mut checker = checker_with(2);
        assert_eq!(checker.expect(1, b"body 1"), Ok(()));
        assert_eq!(checker.expect(2, b"body two"), Err(found.clone()));
        let mut checker = checker_with(1);
        assert_eq!(checker.expect(1, b"body 1"), Ok(()));
        assert_eq!(checker.expect(2, b"body two"), Ok(()));
        assert_eq!(take(&mut checker, 2), Err(found.clone()));
        let mut checker = Checker::default();
        oracles_say(&mut checker, 2);
        assert_eq!(checker.expect(2, b"body two"), Err(found));
    }

    #[test]
    fn an_event_that_never_arrived_is_lost() {
        let mut checker = checker_with(5);
        oracles_say(&mut checker, 6);
        let lost = Violation::Lost {
            last: 5,
            written: 6,
        };
        assert_eq!(checker.complete(6), Err(lost));
    }

    #[test]
    fn a_position_past_what_has_arrived_was_acknowledged_early() {
        let mut checker = checker_with(5);
        oracles_say(&mut checker, 6);
        let early = Violation::Early {
            last: 5,
            acknowledged: 6,
        };
        assert_eq!(checker.acknowledged(), Err(early));
    }

    #[test]
    fn oracles_and_writer_must_agree() {
        let mut checker = checker_with(3);
        oracles_say(&mut checker, 3);
        let differ = Violation::Oracle { last: 3, found: 4 };
        assert_eq!(checker.complete(4), Err(differ));
        let skipped = Violation::Oracle { last: 3, found: 5 };
        assert_eq!(checker.expect(5, b"body 5"), Err(skipped.clone()));
        assert_eq!(checker.committed(5), Err(skipped));
        assert_eq!(checker.expect(4, b"body 4"), Ok(()));
        let silent = Violation::Oracle { last: 3, found: 4 };
        assert_eq!(checker.complete(4), Err(silent), "test_decoding knows 3");
    }

    #[test]
    fn two_events_with_one_id_are_found() {
        let mut checker = checker_with(2);
        let third = Message {
            number: 3,
            id: "key-1",
            body: b"body 3",
            redelivered: false,
        };
        assert_eq!(checker.arrived(&third), Ok(Arrival::New));
        oracles_say(&mut checker, 3);
        assert_eq!(checker.complete(3), Err(Violation::SharedId));
    }
}
