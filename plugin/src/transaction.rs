//! The transaction that is being replayed.

use pgevents_proto::Begin;

/// Changes kept back between two reports of progress; as in PostgreSQL's own `pgoutput`.
const QUIET_CHANGES: u32 = 100;

/// What is known of the open transaction, from its begin callback on.
#[derive(Default)]
pub struct Transaction {
    begin: Begin,
    origin: String,
    /// Whether the reader knows of it: nothing is sent before the first wanted change.
    pub announced: bool,
    /// Changes kept back since the last one that was sent.
    skipped: u64,
    quiet: u32,
}

impl Transaction {
    /// Starts the next one.
    pub fn start(&mut self, begin: Begin, origin: Option<String>) {
        *self = Self {
            begin,
            origin: origin.unwrap_or_default(),
            ..Self::default()
        };
    }

    /// What its begin message says.
    pub fn begin(&self) -> (&Begin, &str) {
        (&self.begin, &self.origin)
    }

    /// Counts a change that is kept back; true when progress is due.
    #[inline]
    pub fn skip(&mut self) -> bool {
        self.skipped += 1;
        self.quiet += 1;
        let due = self.quiet >= QUIET_CHANGES;
        if due {
            self.quiet = 0;
        }
        due
    }

    /// Changes kept back since the last one sent; counts the one that is sent now.
    #[inline]
    pub fn take_skipped(&mut self) -> u64 {
        self.quiet = 0;
        std::mem::take(&mut self.skipped)
    }
}
