use std::fmt::Write;

use pgevents_relay::delivery::{TooLarge, Unroutable};

use crate::{
    broker::{Broker, Message},
    plan::Plan,
    wal::{Item, LARGEST_TRANSACTION, Wal},
    walsender::{MESSAGE_KEY, TABLE},
};

/// Identifier of the simulated system.
pub const SYSTEM: u64 = 0x6A3F_0000_1234_5678;

/// Knows what was written, and checks what is acknowledged and what arrives.
#[derive(Debug, Default)]
pub struct Oracle {
    facts: Vec<Fact>,
    /// Highest event of the queue up to each place, counted from 1.
    highest: Vec<usize>,
    /// Highest position that the core ever acknowledged.
    acknowledged: u64,
    /// Items before this one are decided before that position, and are safe.
    checked: usize,
    /// Highest position that was sent.
    pub sent: u64,
    expected: String,
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    /// Its first place in the queue.
    place: Option<usize>,
    /// The broker has refused it, or given it back.
    refused: bool,
    /// It is in the parking queue, or was dropped as asked.
    done: bool,
}

impl Oracle {
    /// The core acknowledges a position, or a session starts there: everything that the server will
    /// not send again has to be safe.
    pub fn acknowledges(
        &mut self,
        position: u64,
        wal: &Wal,
        broker: &Broker,
    ) -> Result<(), String> {
        if position <= self.acknowledged {
            return Ok(());
        }
        self.acknowledged = position;
        if position > self.sent {
            return Err(format!(
                "{position} is acknowledged, but the server has only sent up to {}",
                self.sent
            ));
        }
        self.facts.resize(wal.events(), Fact::default());
        while let Some(item) = wal.items.get(self.checked)
            && item.decided < position
        {
            if let Some(lost) = item
                .events
                .clone()
                .find(|event| !self.is_safe(*event, broker))
            {
                return Err(format!(
                    "{position} is acknowledged, but event {lost} (decided at {}, end {}) is not in the queue for good: \
                     the server will not send it again",
                    item.decided, item.end
                ));
            }
            self.checked += 1;
        }
        Ok(())
    }

    /// The slot is created behind so many events.
    pub fn begins_after(&mut self, events: usize) {
        let nobodys = Fact {
            place: None,
            refused: true,
            done: true,
        };
        self.facts.clear();
        self.facts.resize(events, nobodys);
    }

    /// The broker has put a message at the end of its queue. Returns whether it was there before,
    /// which one may not have been of which the relay knows it: it does so up to `known`.
    pub fn stores(
        &mut self,
        message: &Message,
        known: u64,
        wal: &Wal,
        plan: &Plan,
    ) -> Result<bool, String> {
        let event = self.identify(message, wal, plan)?;
        let before = self.highest.last().copied().unwrap_or(0);
        let fact = self.facts[event];
        let repeated = fact.place.is_some();
        if repeated && event < wal.events_before(known) {
            return Err(format!(
                "event {event} comes again, and the relay knows of all up to {known}"
            ));
        }
        if event > before
            && let Some(gap) = (before..event).find(|gap| !self.facts[*gap].refused)
        {
            return Err(format!(
                "event {event} comes after {before} events: {gap} is left out"
            ));
        }
        if !repeated && event < before && !fact.refused {
            return Err(format!(
                "event {event} comes for the first time after a later one"
            ));
        }
        self.facts[event].place.get_or_insert(self.highest.len());
        self.highest.push(before.max(event + 1));
        Ok(repeated)
    }

    /// The broker has refused a message.
    pub fn refuses(&mut self, message: &Message, wal: &Wal, plan: &Plan) -> Result<(), String> {
        let event = self.identify(message, wal, plan)?;
        self.facts[event].refused = true;
        Ok(())
    }

    /// The parking queue has a message for good.
    pub fn parks(&mut self, message: &Message, wal: &Wal, plan: &Plan) -> Result<(), String> {
        let event = self.identify(message, wal, plan)?;
        if plan.policy.unroutable != Unroutable::Park || !self.facts[event].refused {
            return Err(format!("event {event} is parked"));
        }
        self.facts[event].done = true;
        Ok(())
    }

    /// The relay does without a message.
    pub fn drops(&mut self, message: &Message, wal: &Wal, plan: &Plan) -> Result<(), String> {
        let event = self.identify(message, wal, plan)?;
        if plan.policy.unroutable != Unroutable::Drop {
            return Err(format!("event {event} came back and is dropped"));
        }
        self.facts[event].done = true;
        Ok(())
    }

    /// The broker has died; this much of its queue is left.
    pub fn crashes(&mut self, queue: usize) {
        self.highest.truncate(queue);
        for fact in &mut self.facts {
            fact.place = fact.place.filter(|place| *place < queue);
        }
    }

    /// The first event that is not safe, counted from 0.
    pub fn missing(&mut self, wal: &Wal, broker: &Broker) -> Option<usize> {
        self.facts.resize(wal.events(), Fact::default());
        (0..wal.events()).find(|event| !self.is_safe(*event, broker))
    }

    fn is_safe(&self, event: usize, broker: &Broker) -> bool {
        let Fact { place, done, .. } = self.facts[event];
        done || place.is_some_and(|place| broker.is_durable(place))
    }

    /// Which event a message is; its key, routing key and body have to be exactly that event's, so
    /// repeated messages are identical, and nothing may be further ahead than the window allows.
    fn identify(&mut self, message: &Message, wal: &Wal, plan: &Plan) -> Result<usize, String> {
        self.facts.resize(wal.events(), Fact::default());
        let (item, event) = find(&message.message_id, wal)
            .ok_or_else(|| format!("message_id {:?} names no event", message.message_id))?;
        self.expect_key(item, event);
        if *self.expected != *message.message_id {
            return Err(format!(
                "message_id {:?} of event {event}",
                message.message_id
            ));
        }
        self.expect_body(item, event, wal, plan);
        if self.expected.as_bytes() != &*message.body {
            let body = String::from_utf8_lossy(&message.body);
            return Err(format!("body of event {event}: {body}"));
        }
        let routing_key = if item.transaction { TABLE } else { MESSAGE_KEY };
        if *message.routing_key != *routing_key {
            return Err(format!(
                "routing key {:?} of event {event}",
                message.routing_key
            ));
        }
        let ahead = (event + 1).saturating_sub(wal.events_before(self.acknowledged));
        let most = plan.policy.window_messages as usize + LARGEST_TRANSACTION;
        if ahead > most {
            return Err(format!(
                "event {event} is {ahead} ahead of what is acknowledged: a crash would repeat more than {most}"
            ));
        }
        Ok(event)
    }

    fn expect_key(&mut self, item: &Item, event: usize) {
        let (lsn, time) = match item.transaction {
            true => (item.decided, item.decided),
            false => (item.end, 0),
        };
        let index = event - item.events.start;
        self.expected.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.expected, "{SYSTEM:016x}-{lsn:016X}-{time:x}-{index}");
    }

    fn expect_body(&mut self, item: &Item, event: usize, wal: &Wal, plan: &Plan) {
        self.expected.clear();
        let _ = if item.transaction {
            let width = usize::from(wal.texts[event]);
            write!(
                self.expected,
                "{{\"table_name\":\"{TABLE}\",\"old\":{{}},\"new\":{{\"id\":{event},\"note\":\"{:x<width$}\"}},\"id\":{event},\
                 \"diff\":{{\"id\":{event},\"note\":\"{:x<width$}\"}},\"action\":\"I\"}}",
                "", ""
            )
        } else {
            write!(self.expected, "{{\"id\":{event}}}")
        };
        let bytes = self.expected.len();
        if bytes as u64 > plan.max_message_bytes && plan.policy.too_large == TooLarge::Marker {
            self.expected.clear();
            let _ = write!(
                self.expected,
                "{{\"table_name\":\"{TABLE}\",\"old\":{{}},\"new\":{{}},\"id\":{event},\"diff\":{{}},\"action\":\"I\",\
                 \"pgevents_omitted\":\"too_large\",\"bytes\":{bytes}}}"
            );
        }
    }
}

/// The event that a `message_id` names.
fn find<'w>(message_id: &str, wal: &'w Wal) -> Option<(&'w Item, usize)> {
    let mut parts = message_id.split('-').skip(1);
    let lsn = u64::from_str_radix(parts.next()?, 16).ok()?;
    let (time, index) = (parts.next()?, parts.next()?.parse().ok()?);
    let at = match time {
        // A message outside of transactions.
        "0" => wal.items.binary_search_by_key(&lsn, |item| item.end),
        _ => wal.items.binary_search_by_key(&lsn, |item| item.decided),
    };
    let at = at.ok()?;
    let item = &wal.items[at];
    let event = item.events.start.checked_add(index)?;
    item.events.contains(&event).then_some((item, event))
}
