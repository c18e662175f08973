use std::ops::Range;

use crate::dice::Dice;

/// Most rows of one transaction.
pub const LARGEST_TRANSACTION: usize = 24;

/// The write-ahead log of the simulated server: what was written, in which order and where.
///
/// Transactions overlap, rows of a COPY share a position, and a commit record may stand directly
/// behind another one, so that the end of one transaction is the start of the next commit.
#[derive(Debug)]
pub struct Wal {
    /// Everything that is decoded to events, in commit order.
    pub items: Vec<Item>,
    /// Bytes of text in each event, numbered in commit order from 0.
    pub texts: Vec<u16>,
    /// Position after the last record.
    pub end: u64,
    open: Vec<Vec<Row>>,
}

/// A committed transaction, or a logical message outside of any.
#[derive(Debug)]
pub struct Item {
    /// Where its last record starts: a client that has acknowledged more does not get it again.
    /// Source: PostgreSQL `src/backend/replication/logical/snapbuild.c`, `SnapBuildXactNeedsSkip`.
    pub decided: u64,
    /// Position after that record.
    pub end: u64,
    /// Whether it is a transaction.
    pub transaction: bool,
    /// Numbers of its events.
    pub events: Range<usize>,
    /// Position of each event's record.
    pub lsns: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    lsn: u64,
    text: u16,
}

impl Wal {
    /// An empty log.
    pub fn new() -> Self {
        Self {
            items: Vec::new(),
            texts: Vec::new(),
            end: 0x100_0000,
            open: Vec::new(),
        }
    }

    /// Number of committed events.
    pub fn events(&self) -> usize {
        self.texts.len()
    }

    /// Number of events of items that are decided before `position`.
    pub fn events_before(&self, position: u64) -> usize {
        let items = self.items.partition_point(|item| item.decided < position);
        self.items[..items].last().map_or(0, |item| item.events.end)
    }

    /// Writes something.
    pub fn grow(&mut self, dice: &mut Dice, longest: u64) {
        let text = |dice: &mut Dice| dice.number(0..longest) as u16;
        match dice.number(0..12) {
            0 | 1 if self.open.len() < 3 => self.open.push(Vec::new()),
            0..=6 if !self.open.is_empty() => {
                let copied = if dice.once_in(4) {
                    dice.number(2..9)
                } else {
                    1
                };
                let lsn = self.record(dice);
                let at = dice.index(self.open.len());
                for _ in 0..copied {
                    if self.open[at].len() < LARGEST_TRANSACTION {
                        let text = text(dice);
                        self.open[at].push(Row { lsn, text });
                    }
                }
            }
            7 => {
                let rows = vec![Row {
                    lsn: self.end,
                    text: text(dice),
                }];
                self.decide(rows, false, dice);
            }
            // Another database, or a transaction that wrote nothing that is wanted.
            8 => drop(self.record(dice)),
            9 if !self.open.is_empty() && dice.once_in(3) => {
                let at = dice.index(self.open.len());
                // Rolled back.
                drop(self.open.swap_remove(at));
                self.record(dice);
            }
            _ if !self.open.is_empty() => {
                let at = dice.index(self.open.len());
                let rows = self.open.swap_remove(at);
                self.decide(rows, true, dice);
            }
            _ => drop(self.record(dice)),
        }
    }

    /// Writes the record that decides over these rows.
    fn decide(&mut self, rows: Vec<Row>, transaction: bool, dice: &mut Dice) {
        let first = self.texts.len();
        self.texts.extend(rows.iter().map(|row| row.text));
        let decided = self.record(dice);
        self.items.push(Item {
            decided,
            end: self.end,
            transaction,
            events: first..self.texts.len(),
            lsns: rows.iter().map(|row| row.lsn).collect(),
        });
    }

    /// Appends one record and returns where it starts. Records are aligned to 8 bytes.
    fn record(&mut self, dice: &mut Dice) -> u64 {
        let start = self.end;
        self.end += 8 * dice.number(3..30);
        start
    }
}

impl Default for Wal {
    fn default() -> Self {
        Self::new()
    }
}
