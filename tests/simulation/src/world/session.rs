//! The relay's tasks, with nothing of their own but the order of calls.

use std::{fmt, time::Duration};

use pgevents_proto::{Decoder, Event, Lsn};
use pgevents_relay::delivery::{Failure, Feed, Next, Unroutable, resume_after};

use super::{Interrupt, Step, World, text};
use crate::{
    broker::{Message, Reply},
    relay::Relay,
    walsender::Sent,
};

impl World {
    /// As `producer::session` does it.
    pub(super) fn connect(&mut self) -> Step {
        let known = self.relay.is_some();
        let relay = self
            .relay
            .get_or_insert_with(|| Relay::start(self.plan.policy));
        let slot = Lsn(self.server.confirmed);
        let same_wal = known && relay.acknowledged.is_some();
        let before = relay.acknowledged;
        relay.acknowledged = relay.acknowledged.max(Some(slot));
        let from = resume_after(relay.acknowledged, slot, same_wal);
        self.history
            .note(|| format!("relay: connects, slot {slot:?}, from {from:?}"));
        if before.is_some_and(|before| from < before) {
            let finding = format!("starts at {from:?}, before what it has acknowledged");
            return Err(Interrupt::Finding(finding));
        }
        self.oracle
            .acknowledges(from.0, &self.wal, &self.broker)
            .map_err(Interrupt::Finding)?;
        self.server.start(&self.wal, from.0);
        relay.start_session(self.now);
        self.history.tally.sessions += 1;
        Ok(())
    }

    pub(super) fn read(&mut self) -> Step {
        let Some(relay) = self.relay.as_mut() else {
            return Ok(());
        };
        if relay.feed.delivery.next() != Next::Read {
            return Ok(());
        }
        let Some(message) = self.server.outbound.pop_front() else {
            return Ok(());
        };
        relay.feed.delivery.heard();
        match message {
            Sent::Keepalive(wal_end) => {
                relay.feed.delivery.keepalive(Lsn(wal_end));
                self.history.note(|| format!("relay: keepalive {wal_end}"));
                Ok(())
            }
            Sent::Frame { lsn, bytes } => {
                relay.feed.delivery.received(Lsn(lsn), bytes.len() as u64);
                let mut decoder = relay.decoder.take().unwrap_or_default();
                let taken = self.frame(&bytes, &mut decoder);
                if let Some(relay) = &mut self.relay {
                    relay.decoder = Some(decoder);
                }
                taken
            }
        }
    }

    /// Takes the events of a frame; time goes on while the window is full.
    fn frame(&mut self, bytes: &[u8], decoder: &mut Decoder) -> Step {
        let mut events = decoder.frame(bytes);
        loop {
            let Some(relay) = &mut self.relay else {
                return Ok(());
            };
            let event = match Feed::next(&mut events) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(_) => return Err(Interrupt::Process("a frame cannot be decoded")),
            };
            self.history
                .note(|| format!("relay: reads {}", Brief(&event)));
            if let Event::Commit(commit) = &event {
                relay.committed = commit.end_lsn;
            }
            if relay.feed.event(event, &mut self.broker).is_err() {
                // The operator reads the message and raises the limit.
                self.plan.policy.max_message_bytes = u64::MAX;
                return Err(Interrupt::Process("an event is too large"));
            }
            while self
                .relay
                .as_ref()
                .is_some_and(|relay| !relay.feed.delivery.has_room())
            {
                self.act(false)?;
            }
        }
    }

    /// Hears some of what the broker has said: of each batch first what was refused, as the
    /// publisher does.
    pub(super) fn hear(&mut self) -> Step {
        let Some(relay) = self
            .relay
            .as_mut()
            .filter(|_| !self.broker.replies.is_empty())
        else {
            return Ok(());
        };
        let count = 1 + self.dice.index(self.broker.replies.len());
        let mut batch: Vec<Reply> = self.broker.replies.drain(..count).collect();
        batch.sort_by_key(|reply| matches!(reply, Reply::Confirmed(_)));
        self.history.note(|| format!("relay: hears {batch:?}"));
        let delivery = &mut relay.feed.delivery;
        for reply in batch {
            match reply {
                Reply::Confirmed(confirmed) => delivery.confirmed(confirmed),
                Reply::Returned(confirmed, message) => {
                    match delivery.returned(confirmed, message.parked) {
                        Unroutable::Block => return Err(Interrupt::Session("unroutable")),
                        Unroutable::Stop => return Err(Interrupt::Process("unroutable")),
                        Unroutable::Drop => {
                            let dropped = self.oracle.drops(&message, &self.wal, &self.plan);
                            dropped.map_err(Interrupt::Finding)?;
                        }
                        Unroutable::Park => self.broker.wire.push_back(Message {
                            parked: true,
                            ..*message
                        }),
                    }
                }
                Reply::Nacked(confirmed) => delivery.nacked(confirmed).map_err(why)?,
            }
        }
        Ok(())
    }

    /// The status task: it reports at any time, whatever the relay waits for.
    pub(super) fn report(&mut self) {
        if let Some(relay) = self.relay.as_ref().filter(|relay| relay.streams) {
            let position = relay.feed.delivery.acknowledge().0;
            self.server.inbound.push_back(position);
        }
    }

    pub(super) fn tick(&mut self) -> Step {
        self.now += Duration::from_millis(self.dice.number(1_000..3_000));
        let Some(relay) = self.relay.as_mut().filter(|relay| relay.streams) else {
            return Ok(());
        };
        relay.feed.delivery.blocked(self.broker.alarm);
        match relay.feed.delivery.tick(self.now) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.server.keepalive();
                Ok(())
            }
            Err(Failure::NoConfirm(_)) if self.broker.alarm => Err(Interrupt::Finding(
                "gives up a broker that has said that it is blocked".to_owned(),
            )),
            Err(failure) => Err(why(failure)),
        }
    }

    /// A stop is complete: the last report is made, and nothing may be left to repeat.
    pub(super) fn finish(&mut self) -> Step {
        self.report();
        while self.receive().is_some() {}
        let confirmed = Lsn(self.server.confirmed);
        if let Some(relay) = &self.relay
            && relay.committed > confirmed
        {
            return Err(Interrupt::Finding(format!(
                "a clean stop at {confirmed} leaves a transaction up to {} to be sent again",
                relay.committed
            )));
        }
        self.history.tally.stops += 1;
        Err(Interrupt::Process("stopped as asked"))
    }

    pub(super) fn end_session(&mut self) -> Result<(), String> {
        self.server.end();
        let Some(relay) = &mut self.relay else {
            return Ok(());
        };
        relay.end_session();
        // The connection to the broker is used again only if nothing is on its way.
        match relay.feed.delivery.is_idle() {
            true => Ok(()),
            false => self.cut_broker().map_err(text),
        }
    }
}

fn why(failure: Failure) -> Interrupt {
    Interrupt::Session(match failure {
        Failure::Nacked => "nacked",
        Failure::NoConfirm(_) => "no confirm",
        Failure::ServerSilent(_) => "the server is silent",
    })
}

/// An event in the steps: what and where, without its table and values.
struct Brief<'a>(&'a Event<'a>);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Hello(_) => f.write_str("hello"),
            Event::Relation(relation) => write!(f, "relation {}", relation.id),
            Event::Begin(begin) => write!(f, "begin of {}", begin.end_lsn.0),
            Event::Change(change) => write!(f, "change {}", change.index),
            Event::Message(message) => write!(f, "message at {}", message.lsn.0),
            Event::Commit(commit) => write!(f, "commit of {}", commit.end_lsn.0),
        }
    }
}
