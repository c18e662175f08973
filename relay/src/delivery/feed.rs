use std::collections::HashSet;

use pgevents_proto::{
    Action, Change, DecodeError, Event, EventJson, EventKeyPrefix, FrameEvents, Hello, Lsn,
    Message, OmittedReason, PG_EPOCH_UNIX_MICROS, Relation, ReplicaIdentity, write_omitted,
};
use tracing::{debug, warn};

use super::{Admission, Delivery, Policy, backlog::Backlog, mutant};
use crate::{position::Gap, postgres::quote_identifier, publish::LONGEST_KEY};

/// Prefix of logical messages that are events; the rest of it is the routing key.
const MESSAGE_PREFIX: &str = "pgevents:";

/// Kind of an event whose `old` is not the whole old row, so that its `diff` may hold columns that did
/// not change.
const PARTIAL_OLD: &str = "partial-old";

/// Kind of a marker that goes in the place of an event that is too large.
const OMITTED: &str = "omitted";

/// One event on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// `schema.table`, or what a logical message asks for.
    pub routing_key: &'a str,
    /// The same for the same event, whenever it is sent.
    pub message_id: &'a str,
    /// What consumers should know before they read it; most events have none.
    pub kind: Option<&'static str>,
    /// Whether the body is UTF-8; that of a logical message need not be.
    pub utf8: bool,
    /// When its transaction committed, in seconds since 1970-01-01 00:00 UTC; `None`: a message outside
    /// of any transaction.
    pub commit_time: Option<u64>,
    /// The event.
    pub body: &'a [u8],
}

/// Takes messages in order; it never waits.
pub trait Outlet {
    /// Takes one message. Numbers grow from message to message.
    fn publish(&mut self, number: u64, event: Outgoing<'_>);
}

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

/// What is published.
#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// The JSON that stands in `Feed::body`.
    Event { kind: Option<&'static str> },
    /// The content of a logical message.
    Message(&'a [u8], Option<&'static str>),
}

/// The way from a decoded event to a numbered message.
#[derive(Debug)]
pub struct Feed {
    /// What becomes of the messages.
    pub delivery: Delivery,
    /// Tables that the operator was told about.
    advised: HashSet<String>,
    backlog: Backlog,
    plugin: Option<Hello>,
    system_id: u64,
    key: EventKeyPrefix,
    end_lsn: Lsn,
    /// As in [`Outgoing`].
    commit_time: Option<u64>,
    json: EventJson,
    body: Vec<u8>,
    message_id: String,
    oversized: Option<Oversized>,
    memory: mutant::Memory,
}

impl Feed {
    /// Before the first session.
    pub fn new(policy: Policy) -> Self {
        Self {
            delivery: Delivery::new(policy),
            advised: HashSet::new(),
            backlog: Backlog::default(),
            plugin: None,
            system_id: 0,
            key: EventKeyPrefix::default(),
            end_lsn: Lsn::INVALID,
            commit_time: None,
            json: EventJson::new(),
            body: Vec::new(),
            message_id: String::new(),
            oversized: None,
            memory: mutant::Memory::default(),
        }
    }

    /// A session with this system starts; `now` as for [`Delivery::start`].
    pub fn start(&mut self, system_id: u64, now: std::time::Duration) {
        self.system_id = system_id;
        self.backlog = Backlog::default();
        self.memory.session();
        self.delivery.start(now);
    }

    /// Sends the record of a gap; `now` in microseconds since 1970-01-01 00:00 UTC. It belongs to no
    /// transaction, and nothing is acknowledged before it has arrived.
    pub fn announce(&mut self, gap: &Gap, now: i64, outlet: &mut impl Outlet) {
        self.message_id = gap.id();
        self.commit_time = u64::try_from(now / 1_000_000).ok();
        self.body = gap.record(now - PG_EPOCH_UNIX_MICROS).into_bytes();
        let kind = Some(Gap::TYPE);
        self.publish(Gap::ROUTING_KEY, Body::Event { kind }, outlet);
    }

    /// The next event of a frame.
    ///
    /// # Errors
    ///
    /// As of [`FrameEvents::next`]: the relay has to end, since nothing may be left out.
    pub fn next<'e>(events: &'e mut FrameEvents<'_>) -> Result<Option<Event<'e>>, DecodeError> {
        match events.next() {
            Err(_) if mutant::SWALLOW_DECODE_ERROR => Ok(None),
            event => event,
        }
    }

    /// The last event that went as a marker since this was asked.
    pub fn take_oversized(&mut self) -> Option<Oversized> {
        self.oversized.take()
    }

    /// Takes one event of the stream; what it has to say goes to `outlet`.
    ///
    /// # Errors
    ///
    /// The event is too large and the policy is to stop.
    pub fn event(
        &mut self,
        event: Event<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Box<Oversized>> {
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
                self.delivery.begin();
                self.memory.begin(begin.end_lsn);
                self.end_lsn = begin.end_lsn;
                self.key
                    .reset(self.system_id, begin.end_lsn, begin.commit_time);
                let micros = begin.commit_time.saturating_add(PG_EPOCH_UNIX_MICROS);
                self.commit_time = u64::try_from(micros / 1_000_000).ok();
                self.backlog.begin(begin.end_lsn, micros);
            }
            Event::Change(change) => return self.change(&change, outlet),
            Event::Message(message) => return self.message(&message, outlet),
            Event::Commit(commit) => {
                self.delivery.commit(commit.end_lsn);
                self.delivery
                    .kept_back(commit.filtered_rows, commit.noop_rows);
            }
        }
        Ok(())
    }

    /// Commit of the oldest transaction that is not acknowledged, in microseconds since 1970-01-01
    /// 00:00 UTC, up to a second too early; `None`: there is none.
    pub fn oldest_commit(&mut self) -> Option<i64> {
        self.backlog.oldest(self.delivery.acknowledge())
    }

    /// What the plugin last said of itself; `None` before its first frame.
    pub fn plugin(&self) -> Option<&Hello> {
        self.plugin.as_ref()
    }

    fn change(
        &mut self,
        change: &Change<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Box<Oversized>> {
        let received = self.delivery.counts().received;
        if self.memory.leaves_out(change.index, received) {
            return Ok(());
        }
        self.body.clear();
        self.json.write(change, &mut self.body);
        self.message_id.clear();
        self.key.write(change.index, &mut self.message_id);
        let mut kind = match change.action {
            Action::Update | Action::Delete if !change.old_complete => Some(PARTIAL_OLD),
            Action::Update | Action::Delete => None,
            Action::Insert | Action::Truncate | Action::Message => None,
        };
        let routing_key = change.relation.routing_key();
        if !self.admit(self.body.len(), routing_key, self.end_lsn)? {
            self.json.omit(change, &mut self.body);
            kind = Some(OMITTED);
        }
        self.publish(routing_key, Body::Event { kind }, outlet);
        Ok(())
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Box<Oversized>> {
        let Some(routing_key) = message.prefix.strip_prefix(MESSAGE_PREFIX) else {
            return Ok(());
        };
        self.message_id.clear();
        match message.index {
            Some(index) => self.key.write(index, &mut self.message_id),
            // Outside any transaction: its own position names it, and no commit ends there.
            None => {
                self.commit_time = None;
                EventKeyPrefix::new(self.system_id, message.lsn, 0).write(0, &mut self.message_id)
            }
        }
        if routing_key.len() > LONGEST_KEY && self.advised.insert(MESSAGE_PREFIX.to_owned()) {
            let bytes = routing_key.len();
            warn!(
                bytes,
                "routing key of a logical message is longer than 255 bytes, the most that AMQP carries: \
                 it is cut"
            );
        }
        let end_lsn = message.index.map_or(Lsn::INVALID, |_| self.end_lsn);
        let bytes = message.content.len();
        let mut marker = Vec::new();
        let body = match self.admit(bytes, routing_key, end_lsn)? {
            true => Body::Message(message.content, None),
            false => {
                write_omitted(OmittedReason::TooLarge, bytes as u64, &mut marker);
                Body::Message(&marker, Some(OMITTED))
            }
        };
        self.publish(routing_key, body, outlet);
        if message.index.is_none() {
            self.delivery.outside(message.lsn);
        }
        Ok(())
    }

    /// Whether a body of so many bytes may go; otherwise a marker goes in its place.
    fn admit(
        &mut self,
        bytes: usize,
        routing_key: &str,
        end_lsn: Lsn,
    ) -> Result<bool, Box<Oversized>> {
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
            return Err(Box::new(oversized));
        }
        self.oversized = Some(oversized);
        Ok(false)
    }

    fn publish(&mut self, routing_key: &str, body: Body<'_>, outlet: &mut impl Outlet) {
        let (body, utf8, kind) = match body {
            Body::Event { kind } => (self.body.as_slice(), true, kind),
            Body::Message(content, kind) => (content, std::str::from_utf8(content).is_ok(), kind),
        };
        let number = self.delivery.publish(body.len() as u64);
        let (message_id, commit_time) = (&self.message_id, self.commit_time);
        let event = Outgoing {
            routing_key,
            message_id,
            kind,
            utf8,
            commit_time,
            body,
        };
        outlet.publish(number, event);
    }

    /// Says once for each table what its events lack without the old row.
    fn advise(&mut self, relation: &Relation, name: &str) {
        match relation.replica_identity {
            ReplicaIdentity::Full => {}
            ReplicaIdentity::Key | ReplicaIdentity::Nothing => {
                if self.advised.insert(name.to_owned()) {
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
