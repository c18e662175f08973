use pgevents_proto::{
    Action, Begin, Column, Commit, FrameEncoder, Hello, Kind, Lsn, OutOfMemory, PROTOCOL_VERSION,
    Relation, ReplicaIdentity, RowBitmaps,
};

use crate::{
    dice::Dice,
    link::Link,
    wal::{Item, Wal},
};

/// Table of every row.
pub const TABLE: &str = "public.orders";

/// Prefix of the logical messages, and the routing key that it asks for.
const PREFIX: &str = "pgevents:orders.paid";
pub const MESSAGE_KEY: &str = "orders.paid";

/// Wire type 7 does not exist.
const NONSENSE: &[u8] = &[0x07];

/// The slot, and the walsender that streams from it.
#[derive(Debug, Default)]
pub struct Walsender {
    /// Position that is acknowledged, and 0 before the slot is created; what was decided before it
    /// is not sent again.
    pub confirmed: u64,
    /// The same as it stands on disk, where a crash goes back to.
    pub persisted: u64,
    /// Everything before it has been sent in the running session.
    pub sent: u64,
    /// Whether nobody can connect.
    pub down: bool,
    /// Whether it streams.
    pub streams: bool,
    /// Whether the next frame is damaged.
    pub damages: bool,
    /// Whether one was.
    pub damaged: bool,
    next_item: usize,
    /// Whether the begin of the next item was sent, and how many of its events.
    begun: bool,
    events_sent: usize,
    frame: FrameEncoder,
    greeted: bool,
}

impl Walsender {
    /// A server whose slot stands at `confirmed`; 0: it has none.
    pub fn with_slot_at(confirmed: u64) -> Self {
        Self {
            confirmed,
            persisted: confirmed,
            ..Self::default()
        }
    }

    /// START_REPLICATION: streams from the later of both positions.
    pub fn start(&mut self, wal: &Wal, from: u64) {
        let from = from.max(self.confirmed);
        self.end();
        self.next_item = wal.items.partition_point(|item| item.decided < from);
        self.sent = from;
        self.streams = true;
    }

    /// The session is over.
    pub fn end(&mut self) {
        self.streams = false;
        self.begun = false;
        self.events_sent = 0;
        self.greeted = false;
        self.frame.clear();
    }

    /// The whole server dies.
    pub fn crash(&mut self) {
        self.end();
        self.down = true;
        self.confirmed = self.persisted;
    }

    /// Sends some of what is next; `false`: there is nothing.
    pub fn send(&mut self, wal: &Wal, link: &mut Link, dice: &mut Dice) -> bool {
        let Some(item) = wal.items.get(self.next_item) else {
            self.sent = wal.end;
            return false;
        };
        self.frame.clear();
        let lsn = self
            .write(item, wal, dice)
            .expect("there is memory for a frame");
        let head = [lsn.to_be_bytes(), wal.end.to_be_bytes(), [0; 8]];
        let mut parts: Vec<&[u8]> = vec![b"w", head.as_flattened(), self.frame.bytes()];
        if std::mem::take(&mut self.damages) {
            self.damaged = true;
            let at = if dice.once_in(2) { 2 } else { 3 };
            parts.insert(at, NONSENSE);
        }
        link.send(&parts);
        true
    }

    /// Says how far it is, as it does when it is idle or has waited for long.
    pub fn keepalive(&self, link: &mut Link, reply: bool) {
        let head = [self.sent.to_be_bytes(), [0; 8]];
        link.send(&[b"k", head.as_flattened(), &[u8::from(reply)]]);
    }

    /// Fills a frame with the next events; returns the position that goes with it.
    fn write(&mut self, item: &Item, wal: &Wal, dice: &mut Dice) -> Result<u64, OutOfMemory> {
        if !std::mem::replace(&mut self.greeted, true) {
            greet(&mut self.frame)?;
        }
        let end_lsn = Lsn(item.end);
        if !item.transaction {
            let event = item.events.start;
            let body = format!("{{\"id\":{event}}}");
            self.frame.message(None, PREFIX, body.as_bytes(), end_lsn)?;
            self.item_sent(item);
            return Ok(item.end);
        }
        if !std::mem::replace(&mut self.begun, true) {
            let begin = Begin {
                commit_lsn: Lsn(item.decided),
                end_lsn,
                commit_time: item.decided as i64,
                xid: self.next_item as u32,
            };
            self.frame.begin(&begin, "")?;
        }
        let rest = item.events.len() - self.events_sent;
        let count = dice.index(rest + 1);
        for event in item.events.clone().skip(self.events_sent).take(count) {
            row(&mut self.frame, event, wal.texts[event].into())?;
        }
        self.events_sent += count;
        let last = self.events_sent.checked_sub(1).map(|at| item.lsns[at]);
        if self.events_sent == item.events.len() {
            let commit = Commit {
                end_lsn,
                ..Commit::default()
            };
            self.frame.commit(&commit)?;
            self.item_sent(item);
            return Ok(item.end);
        }
        Ok(last.unwrap_or(item.decided))
    }

    fn item_sent(&mut self, item: &Item) {
        self.next_item += 1;
        self.begun = false;
        self.events_sent = 0;
        self.sent = self.sent.max(item.end);
    }
}

/// What stands first in a session.
fn greet(frame: &mut FrameEncoder) -> Result<(), OutOfMemory> {
    frame.hello(&Hello {
        protocol_version: PROTOCOL_VERSION,
        ..Hello::default()
    })?;
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        type_oid: 0,
        kind,
        identity: false,
    };
    let orders = Relation {
        id: 1,
        oid: 1,
        schema: "public".to_owned(),
        name: "orders".to_owned(),
        replica_identity: ReplicaIdentity::Full,
        columns: vec![column("id", Kind::Integer), column("note", Kind::Text)],
        primary_key: vec![0],
    };
    frame.relation(&orders, &[])
}

/// An inserted row: the event's number, and a text of so many bytes.
fn row(frame: &mut FrameEncoder, event: usize, text: usize) -> Result<(), OutOfMemory> {
    const TEXT: [u8; 1024] = [b'x'; 1024];
    let change = frame.open_change(0, Action::Insert, 1)?;
    let new = frame.open_new(RowBitmaps::default())?;
    frame.integer(event as i64)?;
    frame.value_bytes(&TEXT[..text])?;
    frame.finish_row(new)?;
    frame.finish_change(change)
}
