//! Decides which position may be acknowledged to PostgreSQL. Pure: no clock, no I/O.
//!
//! The server forgets everything before an acknowledged position, so these rules are what "nothing
//! is lost" rests on: only the end of a commit is acknowledged, only when every message of it and
//! of everything before it has been confirmed, and the server's own position only when nothing is
//! open and nothing is on its way.

use std::collections::VecDeque;

use pgevents_proto::Lsn;

use super::{Acknowledged, Commit, Held, Mark};

/// What has been published, what has been confirmed, and what follows from it.
#[derive(Debug, Default)]
pub struct AckTracker {
    /// Number of the next publish; they are counted from 0.
    next: u64,
    /// Every publish with a smaller number is confirmed.
    prefix: u64,
    /// For each publish from `prefix` on, whether it is confirmed; trailing ones may be left out.
    ahead: VecDeque<bool>,
    /// What is complete but not all confirmed yet: number of the publish that follows it, and what
    /// may be acknowledged then. Both grow from front to back.
    closed: VecDeque<(u64, Acknowledged)>,
    /// Whether a transaction has begun and not committed.
    open: bool,
    /// Highest position that the server says it has sent everything up to.
    wal_end: Lsn,
    acknowledged: Acknowledged,
}

impl AckTracker {
    /// A tracker for one replication session.
    pub fn new() -> Self {
        Self::default()
    }

    /// A transaction begins: the server's position means nothing until it has committed.
    pub fn begin(&mut self) {
        self.open = true;
    }

    /// A message was handed to the sink. Returns its number, which [`AckTracker::confirm`] wants.
    pub fn published(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// The open transaction is complete.
    pub fn commit(&mut self, commit: impl Into<Commit>) {
        self.open = false;
        self.close(Mark::Commit(commit.into()));
    }

    /// Everything that was published so far is complete up to `mark`.
    pub fn close(&mut self, mark: Mark) {
        match self.closed.back_mut() {
            Some((last, at)) if *last == self.next => at.reach(mark),
            Some(_) | None => {
                let mut at = Acknowledged::default();
                at.reach(mark);
                self.closed.push_back((self.next, at));
            }
        }
        self.advance();
    }

    /// The sink has accepted responsibility for the message with this number. Repeated and unknown
    /// numbers change nothing.
    pub fn confirm(&mut self, number: u64) {
        if number < self.prefix || number >= self.next {
            return;
        }
        if number == self.prefix && self.ahead.is_empty() {
            self.prefix += 1;
        } else {
            let place = (number - self.prefix) as usize;
            if self.ahead.len() <= place {
                self.ahead.resize(place + 1, false);
            }
            self.ahead[place] = true;
            while self.ahead.front() == Some(&true) {
                self.ahead.pop_front();
                self.prefix += 1;
            }
        }
        self.advance();
    }

    /// The server says that it has sent everything before `wal_end`.
    pub fn keepalive(&mut self, wal_end: Lsn) {
        self.wal_end = self.wal_end.max(wal_end);
        self.advance();
    }

    /// What may be acknowledged now. It never goes back.
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged
    }

    /// What keeps [`AckTracker::acknowledged`] from going on.
    pub fn held_by(&self) -> Held {
        match (self.closed.is_empty(), self.open, self.in_flight()) {
            (true, true, _) => Held::OpenTransaction,
            (true, false, 0) => Held::Nothing,
            (_, _, messages) => Held::Unconfirmed(messages),
        }
    }

    /// Number that the next message gets.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Number of the first message without a confirmation: all before it have arrived.
    pub fn first_unconfirmed(&self) -> u64 {
        self.prefix
    }

    /// Whether a transaction has begun and not committed.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Messages without a confirmation, and those confirmed out of turn behind them.
    pub fn in_flight(&self) -> u64 {
        self.next - self.prefix
    }

    fn advance(&mut self) {
        while let Some(&(next, at)) = self.closed.front() {
            if next > self.prefix {
                break;
            }
            self.closed.pop_front();
            self.acknowledged = self.acknowledged.max(at);
        }
        if !self.open && self.in_flight() == 0 {
            self.acknowledged.reach(Mark::Wal(self.wal_end));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Chunk, *};

    #[test]
    fn a_commit_counts_when_everything_before_it_is_confirmed() {
        let mut ack = AckTracker::new();
        ack.begin();
        let (first, second) = (ack.published(), ack.published());
        ack.confirm(second);
        ack.commit(Lsn(100));
        assert_eq!(ack.acknowledged().wal, Lsn(0));
        ack.confirm(first);
        assert_eq!(ack.acknowledged().wal, Lsn(100));
    }

    #[test]
    fn a_transaction_whose_rows_are_confirmed_before_its_end_is_not_acknowledged_early() {
        let mut ack = AckTracker::new();
        ack.begin();
        let row = ack.published();
        ack.confirm(row);
        ack.keepalive(Lsn(90));
        assert_eq!(ack.acknowledged().wal, Lsn(0));
        ack.commit(Lsn(100));
        assert_eq!(ack.acknowledged().wal, Lsn(100));
    }

    #[test]
    fn the_servers_position_waits_for_what_is_in_flight() {
        let mut ack = AckTracker::new();
        ack.begin();
        let row = ack.published();
        ack.commit(Lsn(100));
        ack.keepalive(Lsn(500));
        assert_eq!(ack.acknowledged().wal, Lsn(0));
        ack.confirm(row);
        assert_eq!(ack.acknowledged().wal, Lsn(500));
    }

    #[test]
    fn what_has_arrived_ends_before_the_first_message_without_a_confirmation() {
        let mut ack = AckTracker::new();
        for end in [100, 200] {
            ack.begin();
            ack.published();
            ack.published();
            ack.commit(Lsn(end));
        }
        for number in [0, 1, 3] {
            ack.confirm(number);
        }
        assert_eq!(
            (ack.acknowledged().wal, ack.first_unconfirmed()),
            (Lsn(100), 2)
        );
        assert_eq!(ack.acknowledged().commit.end, Lsn(100));
    }

    #[test]
    fn unknown_and_repeated_confirms_change_nothing() {
        let mut ack = AckTracker::new();
        ack.begin();
        let row = ack.published();
        ack.commit(Lsn(100));
        ack.confirm(row + 1);
        assert_eq!(ack.acknowledged().wal, Lsn(0));
        ack.confirm(row);
        ack.confirm(row);
        assert_eq!((ack.acknowledged().wal, ack.in_flight()), (Lsn(100), 0));
    }

    #[test]
    fn a_chunk_of_existing_rows_counts_when_it_is_confirmed_and_moves_no_position() {
        let mut ack = AckTracker::new();
        let row = ack.published();
        ack.close(Mark::Copied(Chunk(1)));
        assert_eq!(ack.acknowledged(), Acknowledged::default());
        ack.confirm(row);
        let copied = Acknowledged {
            copied: Chunk(1),
            ..Acknowledged::default()
        };
        assert_eq!(ack.acknowledged(), copied);
    }

    #[test]
    fn what_holds_the_position_back_can_be_asked() {
        let mut ack = AckTracker::new();
        assert_eq!(ack.held_by(), Held::Nothing);
        ack.begin();
        let row = ack.published();
        assert_eq!(ack.held_by(), Held::OpenTransaction);
        ack.commit(Lsn(100));
        ack.begin();
        ack.published();
        assert_eq!(ack.held_by(), Held::Unconfirmed(2));
        ack.confirm(row);
        assert_eq!(ack.held_by(), Held::OpenTransaction);
    }

    /// One thing that may happen to a tracker.
    #[derive(Clone, Debug)]
    enum Step {
        /// A transaction of so many messages; the last of them may stay out for now.
        Transaction { messages: u8, complete: bool },
        /// A message outside any transaction.
        Message,
        /// A confirmation of the n-th unconfirmed message, counted round.
        Confirm(u16),
        /// The server's position, which is past everything it has sent.
        Keepalive,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5_u8, any::<bool>())
                .prop_map(|(messages, complete)| Step::Transaction { messages, complete }),
            Just(Step::Message),
            any::<u16>().prop_map(Step::Confirm),
            any::<u16>().prop_map(Step::Confirm),
            Just(Step::Keepalive),
        ]
    }

    /// The same rules in the plainest form: everything is remembered and looked at each time.
    #[derive(Default)]
    struct Model {
        /// What was sent, in order: `Ok` a message with its state, `Err` the end of a commit.
        sent: Vec<Result<bool, Lsn>>,
        open: bool,
        wal: u64,
        idle: Lsn,
    }

    impl Model {
        fn expected(&mut self) -> Lsn {
            let safe = self.sent.iter().take_while(|item| **item != Ok(false));
            let commit = safe.filter_map(|item| item.err()).max().unwrap_or(Lsn(0));
            let idle = !self.open && !self.sent.contains(&Ok(false));
            self.idle = if idle {
                self.idle.max(Lsn(self.wal))
            } else {
                self.idle
            };
            commit
        }
    }

    proptest! {
        #[test]
        fn nothing_unconfirmed_is_ever_acknowledged(steps in prop::collection::vec(step(), 1..200)) {
            let mut ack = AckTracker::new();
            let mut model = Model::default();
            let (mut lsn, mut last, mut keepalive) = (10_u64, Lsn(0), Lsn(0));
            for step in steps {
                match step {
                    Step::Transaction { messages, complete } => {
                        if !model.open {
                            ack.begin();
                            model.open = true;
                            lsn += 10;
                        }
                        for _ in 0..messages {
                            ack.published();
                            model.sent.push(Ok(false));
                        }
                        if complete {
                            ack.commit(Lsn(lsn));
                            model.sent.push(Err(Lsn(lsn)));
                            model.open = false;
                            lsn += 10;
                        }
                    }
                    Step::Message => {
                        ack.published();
                        model.sent.push(Ok(false));
                    }
                    Step::Confirm(choice) => {
                        let messages: Vec<usize> =
                            (0..model.sent.len()).filter(|i| model.sent[*i].is_ok()).collect();
                        let waiting: Vec<usize> = (0..messages.len())
                            .filter(|n| model.sent[messages[*n]] == Ok(false))
                            .collect();
                        if let Some(n) = waiting.get(choice as usize % waiting.len().max(1)) {
                            ack.confirm(*n as u64);
                            model.sent[messages[*n]] = Ok(true);
                        }
                    }
                    Step::Keepalive => {
                        // Inside a transaction the server stands before its commit.
                        let wal_end = if model.open { lsn - 1 } else { lsn };
                        model.wal = model.wal.max(wal_end);
                        ack.keepalive(Lsn(wal_end));
                    }
                }
                let commit = model.expected();
                keepalive = keepalive.max(model.idle);
                prop_assert_eq!(ack.acknowledged().wal, commit.max(keepalive));
                prop_assert!(ack.acknowledged().wal >= last, "went back from {} to {}", last, ack.acknowledged().wal);
                last = ack.acknowledged().wal;
            }
        }
    }
}
