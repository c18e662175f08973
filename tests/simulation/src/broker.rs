use std::{collections::VecDeque, fmt, task::Waker};

use pgevents_relay::delivery::Sent;

use crate::dice::Dice;

/// A broker with one queue behind its exchange and one behind the parking exchange, and the relay's
/// connection to it.
#[derive(Debug, Default)]
pub struct Broker {
    /// Whether the queue is not bound, so that messages come back.
    pub unbound: bool,
    /// The same of the parking queue.
    pub parking_unbound: bool,
    /// Whether the queue is full and refuses.
    pub full: bool,
    /// Whether an alarm keeps the broker from reading.
    pub alarm: bool,
    /// Messages that were written and not read by the broker.
    pub wire: VecDeque<Message>,
    /// What the broker has said and has not come to the relay.
    pub replies: VecDeque<Reply>,
    /// What has come to the relay, and waits to be heard.
    pub audible: Vec<Reply>,
    /// Who waits to hear.
    pub waker: Option<Waker>,
    /// Which connection the relay has; what was sent over an earlier one goes nowhere.
    pub connection: u64,
    /// Which of them the relay has opened last; the others are gaps between two.
    pub opened: u64,
    /// Whether nobody can connect.
    pub down: bool,
    /// Largest body that it takes, in bytes.
    pub largest_body: u64,
    /// Length of the queue.
    pub queue: usize,
    /// So many of its messages survive a crash.
    durable: usize,
    pending: Vec<Pending>,
}

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in the relay's session.
    pub number: u64,
    /// Its key.
    pub message_id: Box<str>,
    /// Where it goes.
    pub routing_key: Box<str>,
    /// The event.
    pub body: Box<[u8]>,
    /// Whether it goes to the parking exchange.
    pub parked: bool,
}

impl Message {
    fn sent(&self) -> Sent {
        Sent {
            number: self.number,
            bytes: self.body.len() as u64,
        }
    }
}

/// What the broker says of a message.
pub enum Reply {
    /// It is in the queue.
    Confirmed(Sent),
    /// It is in the parking queue.
    Parked(Sent, Box<str>),
    /// No queue wants it.
    Returned(Sent, Box<Message>),
    /// The queue refuses it.
    Nacked(Sent),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, Sent { number, .. }) = match self {
            Self::Confirmed(message) => ("confirmed", message),
            Self::Parked(message, _) => ("parked", message),
            Self::Returned(message, _) => ("returned", message),
            Self::Nacked(message) => ("nacked", message),
        };
        write!(f, "{number} {word}")
    }
}

/// A message that was read and not answered.
#[derive(Debug)]
struct Pending {
    reply: Reply,
    /// Length of the queue with it.
    durable: usize,
    /// What is in the parking queue for good from the answer on.
    parked: Option<Message>,
}

/// What became of a message that the broker read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// It is the last of the queue.
    Stored,
    /// It is in the parking queue.
    Parked,
    /// It came back, or was refused.
    Refused,
}

impl Broker {
    /// A broker that takes bodies of up to so many bytes.
    pub fn with_limit(largest_body: u64) -> Self {
        Self {
            largest_body,
            ..Self::default()
        }
    }

    /// Reads the next message; `None`: there is none, or an alarm keeps it from reading.
    pub fn route(&mut self) -> Option<(Routed, Message)> {
        if self.alarm {
            return None;
        }
        let message = self.wire.pop_front()?;
        let confirmed = message.sent();
        let unbound = match message.parked {
            true => self.parking_unbound,
            false => self.unbound,
        };
        let mut parked = None;
        let (routed, reply) = if unbound {
            let returned = Reply::Returned(confirmed, Box::new(message.clone()));
            (Routed::Refused, returned)
        } else if message.parked {
            parked = Some(message.clone());
            let reply = Reply::Parked(confirmed, message.routing_key.clone());
            (Routed::Parked, reply)
        } else if self.full {
            (Routed::Refused, Reply::Nacked(confirmed))
        } else {
            self.queue += 1;
            (Routed::Stored, Reply::Confirmed(confirmed))
        };
        self.pending.push(Pending {
            reply,
            durable: self.queue,
            parked,
        });
        Some((routed, message))
    }

    /// Answers some messages: one, in whatever order, or all up to one. Returns what is in the
    /// parking queue for good now.
    pub fn answer(&mut self, dice: &mut Dice) -> Vec<Message> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let at = dice.index(self.pending.len());
        let count = if dice.once_in(3) { at + 1 } else { 1 };
        let mut parked = Vec::new();
        for pending in self.pending.drain(at + 1 - count..at + 1) {
            self.durable = self.durable.max(pending.durable);
            self.replies.push_back(pending.reply);
            parked.extend(pending.parked);
        }
        parked
    }

    /// Some of what the broker has said comes to the relay.
    pub fn deliver(&mut self, replies: usize) {
        self.audible.extend(self.replies.drain(..replies));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The connection is gone. What the broker has read stays in its queue; the caller has let it
    /// read as much of the wire as was on its way.
    pub fn cut(&mut self) {
        self.connection += 1;
        self.wire.clear();
        self.replies.clear();
        self.audible.clear();
        self.pending.clear();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The node dies and comes back with what it had confirmed and perhaps more of the queue.
    pub fn crash(&mut self, dice: &mut Dice) {
        self.cut();
        self.down = true;
        self.alarm = false;
        self.queue = self.durable + dice.index(self.queue - self.durable + 1);
    }

    /// Whether this place of the queue survives a crash.
    pub fn is_durable(&self, place: usize) -> bool {
        place < self.durable
    }

    /// Everything that was done to it is undone.
    pub fn heal(&mut self) {
        self.unbound = false;
        self.parking_unbound = false;
        self.full = false;
        self.alarm = false;
        self.down = false;
    }
}
