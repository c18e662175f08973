use std::collections::HashSet;

use pgevents_proto::{
    Action, Change, Event, EventJson, EventKey, EventKeyPrefix, Hello, Lsn, Message, OmittedReason,
    PG_EPOCH_UNIX_MICROS, Relation, ReplicaIdentity, write_omitted,
};
use tracing::{debug, warn};

use super::{
    arrived::{Arrived, Rewound},
    backlog::Backlog,
};
use crate::{
    delivery::{Admission, Commit, Delivery, Policy},
    metrics::Post,
    position::{Gap, System, Timelines},
    postgres::quote_identifier,
    sink::{Limits, Outgoing, Sink},
};

/// Prefix of logical messages that are events; the rest of it is the routing key.
pub const MESSAGE_PREFIX: &str = "pgevents:";

/// Kind of an event whose `old` is not the whole old row, so that its `diff` may hold columns that
/// did not change.
const PARTIAL_OLD: &str = "partial-old";

/// Kind of a marker that goes in the place of an event that is too large.
const OMITTED: &str = "omitted";

/// Kind of a logical message. Whoever may log in can emit one, with any routing key and content:
/// this tells it from the event of a row.
const MESSAGE: &str = "message";

/// Tables that are complained about, each once: somebody may make any number of them.
const MOST_ADVISED: usize = 1_000;

/// Frames are mostly of some 32 KiB; the event of a row from a larger one than this, in bytes, is
/// measured before it is written.
const LARGE_FRAME: usize = 1 << 20;

/// An event that is larger than the broker takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// Its routing key.
    pub routing_key: String,
    /// Its key.
    pub message_id: String,
    /// End of its transaction; of a message outside of any, 0/0.
    pub end_lsn: Lsn,
    /// Size of its body.
    pub bytes: u64,
}

/// Why no more events can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedFault {
    /// An event is too large, and the policy is to stop.
    TooLarge(Box<Oversized>),
    /// The server does not have what has arrived.
    Rewound,
}

impl From<Rewound> for FeedFault {
    fn from(Rewound: Rewound) -> Self {
        Self::Rewound
    }
}

/// What is published.
#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// The JSON that stands in `Feed::body`.
    Event { kind: Option<&'static str> },
    /// The content of a logical message.
    Message(&'a [u8]),
}

/// The way from a decoded event to a numbered message.
#[derive(Debug)]
pub struct Feed {
    /// What becomes of the messages.
    pub delivery: Delivery,
    /// Tables that the operator was told about.
    advised: HashSet<String>,
    backlog: Backlog,
    arrived: Arrived,
    plugin: Option<Hello>,
    system: System,
    timelines: Timelines,
    longest_key: Option<usize>,
    key: EventKeyPrefix,
    /// The end of the running transaction.
    commit: Commit,
    /// As in [`Outgoing`].
    commit_time: Option<u64>,
    json: EventJson,
    body: Vec<u8>,
    message_id: String,
    oversized: Option<Oversized>,
}

impl Feed {
    /// Before the first session.
    pub fn new(policy: Policy) -> Self {
        Self {
            delivery: Delivery::new(policy),
            advised: HashSet::new(),
            backlog: Backlog::default(),
            arrived: Arrived::default(),
            plugin: None,
            system: System { id: 0, timeline: 0 },
            timelines: Timelines::default(),
            longest_key: None,
            key: EventKeyPrefix::default(),
            commit: Commit::default(),
            commit_time: None,
            json: EventJson::new(),
            body: Vec::new(),
            message_id: String::new(),
            oversized: None,
        }
    }

    /// A session with this system, whose WAL was written on these timelines, and a sink of these
    /// limits starts; everything up to `known` has arrived. `now` as for [`Delivery::start`].
    pub fn start(
        &mut self,
        system: System,
        timelines: Timelines,
        limits: Limits,
        known: Option<Commit>,
        now: std::time::Duration,
    ) {
        let first_unconfirmed = self.delivery.first_unconfirmed();
        self.arrived.start(known, first_unconfirmed);
        self.system = system;
        self.timelines = timelines;
        self.longest_key = limits.longest_key;
        self.backlog = Backlog::default();
        self.delivery.start(now, limits.largest_body);
        if known.is_some() {
            self.delivery.expect();
        }
    }

    /// Sends the record of a gap; `now` in microseconds since 1970-01-01 00:00 UTC. It belongs to
    /// no transaction, and nothing is acknowledged before it has arrived.
    pub fn announce(&mut self, gap: &Gap, now: i64, sink: &mut impl Sink) {
        self.message_id = gap.id();
        self.commit_time = u64::try_from(now / 1_000_000).ok();
        self.body = gap.record(now - PG_EPOCH_UNIX_MICROS).into_bytes();
        let kind = Some(Gap::TYPE);
        self.publish(Gap::ROUTING_KEY, Body::Event { kind }, sink);
    }

    /// The last event that went as a marker since this was asked.
    pub fn take_oversized(&mut self) -> Option<Oversized> {
        self.oversized.take()
    }

    /// The server has sent everything before `wal_end`.
    ///
    /// # Errors
    ///
    /// What has arrived was not among it.
    pub fn sent_up_to(&mut self, wal_end: Lsn) -> Result<(), FeedFault> {
        if self.arrived.sent_up_to(wal_end)? {
            self.delivery.keepalive(wal_end);
        }
        Ok(())
    }

    /// Takes one event of the stream; what it has to say goes to `sink`.
    ///
    /// # Errors
    ///
    /// The event is too large and the policy is to stop, or the server has another history than the
    /// one that has arrived.
    pub fn event(&mut self, event: Event<'_>, sink: &mut impl Sink) -> Result<(), FeedFault> {
        match event {
            Event::Hello(hello) => {
                debug!(
                    plugin = hello.plugin_version,
                    server = hello.server_version_num,
                    encoding = hello.database_encoding,
                    options = hello.options.join(" "),
                    "plugin says hello"
                );
                self.plugin = Some(hello.clone());
            }
            Event::Relation(relation) => self.advise(relation, relation.routing_key()),
            Event::Begin(begin) => {
                self.commit = Commit {
                    end: begin.end_lsn,
                    time: begin.commit_time,
                    xid: begin.xid,
                };
                let delivery = &mut self.delivery;
                let (next, first) = (delivery.next_number(), delivery.first_unconfirmed());
                if !self.arrived.begin(self.commit, next, first)? {
                    return Ok(());
                }
                delivery.begin();
                self.key
                    .reset(self.system.id, begin.commit_lsn, begin.commit_time);
                let micros = begin.commit_time.saturating_add(PG_EPOCH_UNIX_MICROS);
                self.commit_time = u64::try_from(micros / 1_000_000).ok();
                self.backlog.begin(begin.end_lsn, micros);
            }
            Event::Change(_) if self.arrived.leaves_out() => {}
            Event::Change(change) => return self.change(&change, sink),
            Event::Message(message) => return self.message(&message, sink),
            Event::Commit(commit) => {
                match self.arrived.commit(self.commit) {
                    true => self.delivery.commit(self.commit),
                    // Acknowledged again only if it is the last: the others may be of another
                    // history.
                    false if self.arrived.is_over() => self.delivery.known(self.commit),
                    false => {}
                }
                self.delivery
                    .kept_back(commit.filtered_rows, commit.noop_rows);
            }
            Event::Unknown => {}
        }
        Ok(())
    }

    /// Commit of the oldest transaction that is not acknowledged, in microseconds since 1970-01-01
    /// 00:00 UTC, up to a second too early; `None`: there is none.
    fn oldest_commit(&mut self) -> Option<i64> {
        self.backlog.oldest(self.delivery.acknowledged().wal)
    }

    /// What monitoring may know.
    pub fn post(&mut self) -> Post<'_> {
        Post {
            oldest_commit: self.oldest_commit(),
            counts: self.delivery.counts(),
            plugin: self.plugin.as_ref(),
        }
    }

    fn change(&mut self, change: &Change<'_>, sink: &mut impl Sink) -> Result<(), FeedFault> {
        self.message_id.clear();
        self.key.write(change.index, &mut self.message_id);
        // What may be huge is written only once it is known that it may go.
        let huge = is_huge(change);
        let bytes = match huge {
            true => self.json.length(change),
            false => self.write(change),
        };
        let mut kind = match change.action {
            Action::Update | Action::Delete if !change.old_complete => Some(PARTIAL_OLD),
            Action::Update | Action::Delete => None,
            Action::Insert | Action::Truncate | Action::Message => None,
        };
        let routing_key = change.relation.routing_key();
        if !self.admit(bytes, routing_key, self.commit.end)? {
            self.json.omit(change, bytes, &mut self.body);
            kind = Some(OMITTED);
        } else if huge {
            self.write(change);
        }
        self.publish(routing_key, Body::Event { kind }, sink);
        Ok(())
    }

    /// Writes the event of a change; says how many bytes it has.
    fn write(&mut self, change: &Change<'_>) -> usize {
        self.body.clear();
        self.json.write(change, &mut self.body);
        self.body.len()
    }

    fn message(&mut self, message: &Message<'_>, sink: &mut impl Sink) -> Result<(), FeedFault> {
        let Some(routing_key) = message.prefix.strip_prefix(MESSAGE_PREFIX) else {
            return Ok(());
        };
        let outside = Commit::from(message.lsn);
        match message.index {
            Some(_) if self.arrived.leaves_out() => return Ok(()),
            None if !self.arrived.outside(outside)? => {
                if self.arrived.is_over() {
                    self.delivery.known(outside);
                }
                return Ok(());
            }
            Some(_) | None => {}
        }
        self.message_id.clear();
        match message.index {
            Some(index) => self.key.write(index, &mut self.message_id),
            // Outside any transaction: its own position names it, and no commit ends there.
            None => {
                self.commit_time = None;
                let timeline = self.timelines.of(message.lsn);
                let key = EventKey::outside(self.system.id, message.lsn, timeline);
                key.prefix().write(key.index, &mut self.message_id);
            }
        }
        if let Some(longest) = self.longest_key
            && routing_key.len() > longest
            && self.advised.insert(MESSAGE_PREFIX.to_owned())
        {
            let bytes = routing_key.len();
            warn!(
                bytes,
                "routing key of a logical message is longer than {longest} bytes, the most that the \
                 sink takes: it is cut"
            );
        }
        let end_lsn = message.index.map_or(Lsn::INVALID, |_| self.commit.end);
        let bytes = message.content.len();
        let mut marker = Vec::new();
        let body = match self.admit(bytes, routing_key, end_lsn)? {
            true => Body::Message(message.content),
            false => {
                write_omitted(OmittedReason::TooLarge, bytes as u64, &mut marker);
                Body::Message(&marker)
            }
        };
        self.publish(routing_key, body, sink);
        if message.index.is_none() {
            self.delivery.outside(message.lsn);
        }
        Ok(())
    }

    /// Whether a body of so many bytes may go; otherwise a marker goes in its place.
    fn admit(&mut self, bytes: usize, routing_key: &str, end_lsn: Lsn) -> Result<bool, FeedFault> {
        let bytes = bytes as u64;
        let admission = self.delivery.admit(bytes);
        if admission == Admission::Whole {
            return Ok(true);
        }
        let oversized = Oversized {
            routing_key: routing_key.to_owned(),
            message_id: self.message_id.clone(),
            end_lsn,
            bytes,
        };
        if admission == Admission::Stop {
            return Err(FeedFault::TooLarge(Box::new(oversized)));
        }
        self.oversized = Some(oversized);
        Ok(false)
    }

    fn publish(&mut self, routing_key: &str, body: Body<'_>, sink: &mut impl Sink) {
        let (body, utf8, kind) = match body {
            Body::Event { kind } => (self.body.as_slice(), true, kind),
            Body::Message(content) => {
                let utf8 = std::str::from_utf8(content).is_ok();
                (content, utf8, Some(MESSAGE))
            }
        };
        let number = self.delivery.publish(body.len() as u64);
        let (message_id, commit_time) = (&self.message_id, self.commit_time);
        let message = Outgoing {
            routing_key,
            message_id,
            kind,
            utf8,
            commit_time,
            body,
        };
        sink.publish(number, message);
    }

    /// Says once for each table what its events lack without the old row.
    fn advise(&mut self, relation: &Relation, name: &str) {
        match relation.replica_identity {
            ReplicaIdentity::Full => {}
            ReplicaIdentity::Key | ReplicaIdentity::Nothing => {
                if self.advised.len() < MOST_ADVISED && self.advised.insert(name.to_owned()) {
                    warn!(
                        table = name,
                        "updates and deletes come without the whole old row; for all of old and diff, run: ALTER TABLE {}.{} \
                         REPLICA IDENTITY FULL;",
                        quote_identifier(&relation.schema),
                        quote_identifier(&relation.name)
                    );
                }
            }
        }
    }
}

fn is_huge(change: &Change<'_>) -> bool {
    let mut rows = change.old.iter().chain(&change.new);
    rows.any(|row| row.stands_in() > LARGE_FRAME)
}
