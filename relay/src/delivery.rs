//! The core: what goes to the sink, what may be acknowledged to PostgreSQL, and when to give up.
//!
//! Pure: no clock, no I/O, no tasks. Whoever owns a [`Delivery`] tells it what has happened and
//! does what it answers; the time comes from outside. So whoever drives it decides what happens
//! when.

mod ack;
mod caution;
mod counts;
mod held;
mod mark;
mod patience;
mod policy;
mod window;

use std::time::Duration;

use pgevents_proto::Lsn;

pub use ack::AckTracker;
use caution::Caution;
pub use counts::{Counts, Flow};
pub use held::Held;
pub use mark::{Acknowledged, Chunk, Commit, Mark};
use patience::{Patience, Silences};
pub use policy::{Policy, TooLarge, Unroutable};
pub use window::Window;

/// A message that went to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number that it was published with.
    pub number: u64,
    /// Size of its body.
    pub bytes: u64,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Take the next event of the stream.
    Read,
    /// Wait for outcomes of what is on its way: the window is full, or a stop waits for the last.
    Wait,
    /// End the stream: a stop was requested and everything sent is acknowledged.
    Finish,
}

/// Whether a body may go as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Whole,
    /// It is too large: a marker goes in its place.
    Marker,
    /// It is too large: the relay has to end.
    Stop,
}

/// Why a session has to end. What was not acknowledged is read again from the slot by the next one:
/// sending a single message again would break the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The sink refused a message.
    Nacked,
    /// Confirms are due and none came for so long.
    NoConfirm(Duration),
    /// Nothing came from PostgreSQL for so long.
    ServerSilent(Duration),
}

/// The state of one relay, over all of its sessions.
#[derive(Debug)]
pub struct Delivery {
    policy: Policy,
    ack: AckTracker,
    caution: Caution,
    window: Window,
    patience: Patience,
    silences: Silences,
    stopping: bool,
    counts: Counts,
    /// When the session started.
    started: Duration,
    /// Largest body that the sink takes, in bytes; `None`: any.
    largest_body: Option<u64>,
    /// Whether something has to come again that has arrived: `Feed` tells of nothing before it has,
    /// so that nothing is acknowledged, and no stop is complete.
    expecting: bool,
    /// What was acknowledged when the position last moved or nothing held it back, and when.
    moved: (Acknowledged, Duration),
    /// What the plugin has kept back in this session: by its options, and because nothing changed.
    kept_back: (u64, u64),
}

impl Delivery {
    /// Before the first session.
    pub fn new(policy: Policy) -> Self {
        let window = Window::new(policy.window_messages, policy.window_bytes);
        Self {
            policy,
            ack: AckTracker::new(),
            caution: Caution::default(),
            window,
            patience: Patience::default(),
            silences: Silences::default(),
            stopping: false,
            counts: Counts::default(),
            started: Duration::ZERO,
            largest_body: None,
            expecting: false,
            moved: Default::default(),
            kept_back: (0, 0),
        }
    }

    /// A session starts: numbers count from 0 again, and nothing is on its way. `now` is the time
    /// since any fixed moment, here and in [`Delivery::tick`]; `largest_body`: in bytes, the most
    /// that the sink takes, `None`: any.
    pub fn start(&mut self, now: Duration, largest_body: Option<u64>) {
        let (unconfirmed, next) = (self.first_unconfirmed(), self.next_number());
        self.caution = self.caution.next(unconfirmed, next);
        self.expecting = false;
        self.ack = AckTracker::new();
        self.window = Window::new(self.policy.window_messages, self.policy.window_bytes);
        self.patience = Patience::since(now);
        self.counts.sessions += 1;
        self.started = now;
        self.largest_body = largest_body;
        self.moved = (Acknowledged::default(), now);
        self.kept_back = (0, 0);
    }

    /// A stop is requested: the open transaction is the last.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// What may be done now.
    pub fn next(&self) -> Next {
        if self.stopping && !self.ack.is_open() && !self.expecting {
            return match self.ack.in_flight() {
                0 => Next::Finish,
                _ => Next::Wait,
            };
        }
        match self.has_room() {
            true => Next::Read,
            false => Next::Wait,
        }
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        self.ack.begin();
    }

    /// Whether a body of so many bytes may go. Asked before the broker is: that would close the
    /// channel, again and again.
    pub fn admit(&mut self, bytes: u64) -> Admission {
        if self.largest_body.is_none_or(|largest| bytes <= largest) {
            return Admission::Whole;
        }
        match self.policy.too_large {
            TooLarge::Marker => {
                self.counts.omitted += 1;
                Admission::Marker
            }
            TooLarge::Stop => Admission::Stop,
        }
    }

    /// A message with a body of so many bytes goes to the sink, with the number returned.
    pub fn publish(&mut self, bytes: u64) -> u64 {
        if self.is_idle() {
            self.patience.sink_moves();
        }
        self.window.add(bytes);
        self.counts.published += 1;
        self.counts.published_bytes += bytes;
        self.ack.published()
    }

    /// The open transaction is complete.
    pub fn commit(&mut self, commit: impl Into<Commit>) {
        self.counts.transactions += 1;
        self.ack.commit(commit);
    }

    /// The source will give again what has arrived in an earlier session: nothing is acknowledged,
    /// and no stop is complete, before it has.
    pub fn expect(&mut self) {
        self.expecting = true;
    }

    /// The source has come to the end of that, and nothing was published in this session.
    pub fn known(&mut self, commit: Commit) {
        self.expecting = false;
        self.ack.close(Mark::Commit(commit));
    }

    /// A message outside any transaction was published; `lsn` is its position. Like a commit it
    /// lets everything before it be acknowledged: a stream of such messages alone would never be
    /// idle.
    pub fn outside(&mut self, lsn: Lsn) {
        if !self.ack.is_open() {
            self.ack.commit(lsn);
        }
    }

    /// A frame of so many bytes was read; `lsn` is the position of its last change.
    pub fn received(&mut self, lsn: Lsn, bytes: u64) {
        self.counts.received = lsn;
        self.counts.received_bytes += bytes;
    }

    /// The plugin has kept back so many rows since the session started: by its options, and updates
    /// that changed nothing.
    pub fn kept_back(&mut self, filtered: u64, unchanged: u64) {
        let (before_filtered, before_unchanged) = self.kept_back;
        self.counts.rows_filtered += filtered.saturating_sub(before_filtered);
        self.counts.rows_unchanged += unchanged.saturating_sub(before_unchanged);
        self.kept_back = (filtered, unchanged);
    }

    /// The server says that it has sent everything before `wal_end`.
    pub fn keepalive(&mut self, wal_end: Lsn) {
        self.ack.keepalive(wal_end);
    }

    /// Something came from the server.
    pub fn heard(&mut self) {
        self.patience.server_speaks();
    }

    /// A message has arrived.
    pub fn confirmed(&mut self, message: Sent) {
        self.counts.confirmed += 1;
        self.settled(message);
    }

    /// No queue wanted a message, and the sink has put it where such messages are kept.
    pub fn parked(&mut self, message: Sent) {
        self.counts.returned += 1;
        self.counts.parked += 1;
        self.confirmed(message);
    }

    /// No queue wanted a message, and it is done with as the policy has it.
    pub fn dropped(&mut self, message: Sent) {
        self.counts.returned += 1;
        self.counts.dropped += 1;
        self.settled(message);
    }

    /// No queue wanted a message: the session has to end.
    pub fn unrouted(&mut self, _message: Sent) {
        self.counts.returned += 1;
        self.caution.refused();
    }

    fn settled(&mut self, Sent { number, bytes }: Sent) {
        self.patience.sink_moves();
        self.window.remove(bytes);
        self.ack.confirm(number);
    }

    /// The sink refused a message.
    ///
    /// # Errors
    ///
    /// Always: the session has to end.
    pub fn nacked(&mut self, _message: Sent) -> Result<(), Failure> {
        self.counts.nacked += 1;
        self.caution.refused();
        Err(Failure::Nacked)
    }

    /// Whether the sink says that it takes nothing for now, so that its silence means nothing.
    pub fn blocked(&mut self, blocked: bool) {
        self.patience.sink_blocked(blocked);
    }

    /// Time passes; about once a second. Returns whether the server should be asked for a sign of
    /// life.
    ///
    /// # Errors
    ///
    /// Somebody has been silent for too long, and the session has to end.
    pub fn tick(&mut self, now: Duration) -> Result<bool, Failure> {
        let due = !self.is_idle();
        self.patience
            .sink_silence(now, due, self.policy.confirm_timeout)?;
        let acknowledged = self.ack.acknowledged();
        if acknowledged != self.moved.0 || self.held_by() == Held::Nothing {
            self.moved = (acknowledged, now);
        }
        // Nobody listens to the server while events have to wait.
        let (listening, acknowledged) = (self.next() == Next::Read, acknowledged.wal);
        self.patience
            .server_silence(now, listening, &mut self.silences, acknowledged)
    }

    /// What may be acknowledged now. It never goes back.
    pub fn acknowledged(&self) -> Acknowledged {
        self.ack.acknowledged()
    }

    /// What holds that back.
    pub fn held_by(&self) -> Held {
        match self.expecting {
            true => Held::Known,
            false => self.ack.held_by(),
        }
    }

    /// Messages without a confirmation, and those confirmed out of turn behind them.
    pub fn in_flight(&self) -> u64 {
        self.ack.in_flight()
    }

    /// Number that the next message gets.
    pub fn next_number(&self) -> u64 {
        self.ack.next_number()
    }

    /// Number of the first message without a confirmation: all before it have arrived.
    pub fn first_unconfirmed(&self) -> u64 {
        self.ack.first_unconfirmed()
    }

    /// Whether one more message may go now.
    pub fn has_room(&self) -> bool {
        let (number, in_flight) = (self.ack.next_number(), self.ack.in_flight());
        self.window.has_room(in_flight) && self.caution.allows(number, in_flight)
    }

    /// Whether nothing is on its way to the sink.
    pub fn is_idle(&self) -> bool {
        self.ack.in_flight() == 0
    }

    /// What the operator has decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How the stream flows, as of the last tick, which was at `now`.
    pub fn flow(&self, now: Duration) -> Flow {
        Flow {
            in_flight: self.ack.in_flight(),
            in_flight_bytes: self.window.bytes(),
            running: now.saturating_sub(self.started),
            held: self.held_by(),
            held_for: now.saturating_sub(self.moved.1),
            ..self.patience.flow(now)
        }
    }

    /// What has happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
