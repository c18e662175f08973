//! What the relay does to the world: connections, acknowledgements, and what it hears.

use std::time::Duration;

use pgevents_proto::Lsn;
use pgevents_relay::{
    delivery::Unroutable,
    producer::Seen,
    sink::{Outcome, Unrouted},
};
use tokio::time::Instant;

use super::{DATABASE, SLOT, World};
use crate::{
    broker::{Message, Reply},
    ends::system,
    link::Said,
};

impl World {
    /// How long it takes to connect somewhere.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(self.dice.number(0..30))
    }

    /// The server as a relay finds it; `None`: it is down. No other session reads the slot any
    /// more.
    pub fn seen(&mut self) -> Option<Seen> {
        for _ in 0..self.dice.index(4) {
            self.receive();
        }
        self.link.cut();
        self.server.end();
        (!self.server.down).then(|| Seen {
            system: system(),
            wal_end: Lsn(self.wal.end),
            slot: (self.server.confirmed > 0).then_some(Lsn(self.server.confirmed)),
            others: None,
        })
    }

    /// The slot begins where the log ends: what was decided before is nobody's.
    pub fn create_slot(&mut self) -> Lsn {
        self.server.confirmed = self.wal.end;
        self.server.persisted = self.wal.end;
        self.oracle
            .begins_after(self.wal.events_before(self.wal.end));
        self.history.note(|| "server: creates the slot".to_owned());
        Lsn(self.wal.end)
    }

    /// A stream starts; returns the number of its connection.
    pub fn start_stream(&mut self, from: Lsn) -> u64 {
        self.server.start(&self.wal, from.0);
        let room = 39 + self.dice.index(200);
        self.link.connect(room);
        self.relay.committed = 0;
        self.disk.forget();
        self.relay.reported_at = Some(Instant::now());
        self.acknowledges(from);
        self.history.tally.sessions += 1;
        let confirmed = self.server.confirmed;
        self.history
            .note(|| format!("relay: streams from {from:?}, slot {confirmed}"));
        self.link.number
    }

    /// End of the last transaction of which the relay knows that it has arrived.
    pub(super) fn known(&self) -> u64 {
        let Some(file) = self.state_file() else {
            return self.relay.acknowledged;
        };
        let recorded = file.read(SLOT, DATABASE).ok().flatten();
        recorded.map_or(0, |position| position.acknowledged.commit.end.0)
    }

    /// The relay connects to the broker; `None`: it cannot. What it had sent over its former
    /// connection may still arrive.
    pub fn open_broker(&mut self) -> Option<u64> {
        self.cut_broker();
        if self.broker.down {
            return None;
        }
        self.broker.opened = self.broker.connection;
        Some(self.broker.connection)
    }

    /// The core acknowledges a position.
    pub fn acknowledges(&mut self, position: Lsn) {
        self.oracle.sent = self.oracle.sent.max(self.server.sent);
        let judged = self
            .oracle
            .acknowledges(position.0, &self.wal, &self.broker);
        self.judge(judged);
    }

    /// The relay has written a message to the server.
    pub fn hears(&mut self, said: Said) {
        let Said::Report { flush, .. } = said else {
            return;
        };
        self.acknowledges(Lsn(flush));
        if let Some(file) = self.state_file() {
            let recorded = file.read(SLOT, DATABASE).ok().flatten();
            let recorded = recorded.map_or(0, |position| position.acknowledged.wal.0);
            if flush > recorded {
                self.find(format!("reports {flush}, and its file has {recorded}"));
            }
        }
        self.relay.reported_at = Some(Instant::now());
    }

    /// What has come from the broker, as a sink says it: first what was refused.
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        let mut batch: Vec<Reply> = self.broker.audible.drain(..).collect();
        batch.sort_by_key(|reply| matches!(reply, Reply::Confirmed(_) | Reply::Parked(..)));
        if !batch.is_empty() {
            self.history.note(|| format!("relay: hears {batch:?}"));
        }
        batch
            .into_iter()
            .filter_map(|reply| self.outcome(reply))
            .collect()
    }

    fn outcome(&mut self, reply: Reply) -> Option<Outcome> {
        Some(match reply {
            Reply::Confirmed(sent) => Outcome::Confirmed(sent),
            Reply::Parked(sent, key) => Outcome::Parked(sent, unrouted(&key, false)),
            Reply::Nacked(sent) => {
                self.relay.refusals += 1;
                Outcome::Nacked(sent)
            }
            Reply::Returned(sent, message) => match self.plan.policy.unroutable {
                Unroutable::Park if !message.parked => {
                    self.broker.wire.push_back(Message {
                        parked: true,
                        ..*message
                    });
                    return None;
                }
                Unroutable::Park | Unroutable::Block | Unroutable::Stop => {
                    self.relay.refusals += 1;
                    Outcome::Unrouted(sent, unrouted(&message.routing_key, message.parked))
                }
                Unroutable::Drop => {
                    let dropped = self.oracle.drops(&message, &self.wal, &self.plan);
                    self.judge(dropped);
                    Outcome::Dropped(sent, unrouted(&message.routing_key, false))
                }
            },
        })
    }
}

fn unrouted(routing_key: &str, parking: bool) -> Unrouted {
    Unrouted {
        routing_key: routing_key.to_owned(),
        reply: "312 NO_ROUTE".to_owned(),
        parking,
    }
}
