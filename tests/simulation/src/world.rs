use std::{fmt, time::Duration};

use pgevents_proto::{Decoder, Event, Lsn};
use pgevents_relay::delivery::{Failure, Feed, Next, Unroutable, resume_after};

use crate::{
    broker::{Broker, Message, Reply, Routed},
    dice::Dice,
    history::{History, Tally},
    oracle::Oracle,
    plan::Plan,
    relay::Relay,
    wal::Wal,
    walsender::{Sent, Walsender},
};

/// A promise was broken: the seed that does it again, what was seen, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// What was seen.
    pub finding: String,
    /// The steps up to it, if they were asked for.
    pub steps: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.steps {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.finding)
    }
}

/// One run: a server, a relay and a broker, and the time.
#[derive(Debug)]
pub struct World {
    seed: u64,
    dice: Dice,
    plan: Plan,
    now: Duration,
    wal: Wal,
    server: Walsender,
    broker: Broker,
    relay: Option<Relay>,
    oracle: Oracle,
    /// Whether faults still happen, and the log still grows.
    unrest: bool,
    history: History,
}

/// Why a step does not lead to the next one.
#[derive(Debug)]
enum Interrupt {
    /// The relay drops both connections and will connect again.
    Session(&'static str),
    /// The relay's process ends.
    Process(&'static str),
    /// A promise is broken.
    Finding(String),
}

type Step<T = ()> = Result<T, Interrupt>;

/// What may happen in a step.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write,
    Send,
    Keepalive,
    Receive,
    Checkpoint,
    Route,
    Answer,
    Read,
    Hear,
    Report,
    Tick,
    Fault,
}

/// Each part has its turn about as often as it does something in reality.
const ACTS: [(u32, Act); 12] = [
    (20, Act::Write),
    (12, Act::Send),
    (3, Act::Keepalive),
    (6, Act::Receive),
    (1, Act::Checkpoint),
    (24, Act::Route),
    (12, Act::Answer),
    (20, Act::Read),
    (12, Act::Hear),
    (6, Act::Report),
    (1, Act::Tick),
    (8, Act::Fault),
];

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    CutServer,
    CutBroker,
    KillRelay,
    KillServer,
    KillBroker,
    Binding,
    ParkingBinding,
    FullQueue,
    Alarm,
    Damage,
    Stall,
    Stop,
}

const FAULTS: [(u32, Fault); 12] = [
    (4, Fault::CutServer),
    (4, Fault::CutBroker),
    (3, Fault::KillRelay),
    (2, Fault::KillServer),
    (2, Fault::KillBroker),
    (2, Fault::Binding),
    (1, Fault::ParkingBinding),
    (2, Fault::FullQueue),
    (2, Fault::Alarm),
    (1, Fault::Damage),
    (1, Fault::Stall),
    (2, Fault::Stop),
];

impl World {
    /// Runs a seed to its end: unrest, then peace, in which everything has to arrive.
    ///
    /// # Errors
    ///
    /// The promise that was broken; with the steps that led to it if `trace`.
    pub fn run(seed: u64, trace: bool) -> Result<Tally, Violation> {
        let mut dice = Dice::of(seed);
        let plan = Plan::of(&mut dice);
        let mut world = Self {
            seed,
            dice,
            plan,
            now: Duration::ZERO,
            wal: Wal::new(),
            server: Walsender::default(),
            broker: Broker::default(),
            relay: None,
            oracle: Oracle::default(),
            unrest: true,
            history: History::default(),
        };
        world.history.lines = trace.then(Vec::new);
        match world.live() {
            Ok(()) => Ok(Tally {
                seeds: 1,
                events: world.wal.events() as u64,
                ..world.history.tally
            }),
            Err(finding) => Err(Violation {
                seed: world.seed,
                finding,
                steps: world.history.lines.unwrap_or_default(),
            }),
        }
    }

    fn live(&mut self) -> Result<(), String> {
        self.history.note(|| format!("{:?}", self.plan));
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        self.unrest = false;
        self.broker.heal();
        self.history.note(|| "peace".to_owned());
        let patience = 3_000 + 200 * self.wal.events();
        for step in 0..patience {
            self.step()?;
            if step % 32 == 0 && self.is_done() {
                return Ok(());
            }
        }
        Err(match self.oracle.missing(&self.wal, &self.broker) {
            Some(event) => format!("event {event} never arrives"),
            None => format!(
                "the slot stays at {}, though everything up to {} has arrived",
                self.server.confirmed, self.wal.end
            ),
        })
    }

    fn is_done(&mut self) -> bool {
        self.server.confirmed >= self.wal.end
            && self.oracle.missing(&self.wal, &self.broker).is_none()
    }

    /// One step of one part, and what follows from it for the relay.
    fn step(&mut self) -> Result<(), String> {
        match self.act(true) {
            Ok(()) => Ok(()),
            Err(Interrupt::Session(why)) => {
                self.history.note(|| format!("session ends: {why}"));
                self.end_session()
            }
            Err(Interrupt::Process(why)) => {
                self.history.note(|| format!("relay ends: {why}"));
                self.end_session()?;
                self.cut_broker().map_err(text)?;
                self.relay = None;
                Ok(())
            }
            Err(Interrupt::Finding(finding)) => Err(finding),
        }
    }

    /// `reads`: the relay is not waiting inside of a frame.
    fn act(&mut self, reads: bool) -> Step {
        self.history.tally.steps += 1;
        let act = self.dice.pick(&ACTS);
        match act {
            Act::Write if self.unrest => self.wal.grow(&mut self.dice, self.plan.longest_text),
            Act::Checkpoint => self.server.persisted = self.server.confirmed,
            Act::Send if self.streams() => self.send(),
            Act::Keepalive if self.streams() => self.server.keepalive(),
            Act::Write | Act::Send | Act::Keepalive => {}
            Act::Receive => drop(self.receive()),
            Act::Route => drop(self.route()?),
            Act::Answer => self.answer()?,
            Act::Read if !reads => {}
            Act::Read if self.streams() => self.read()?,
            Act::Read => self.connect()?,
            Act::Hear => self.hear()?,
            Act::Report => self.report(),
            Act::Tick => self.tick()?,
            Act::Fault if self.unrest && self.dice.once_in(self.plan.fault_once_in / 8 + 1) => {
                self.fault()?;
            }
            Act::Fault => {}
        }
        self.look(reads)
    }

    /// What the core decides is looked at after every step.
    fn look(&mut self, reads: bool) -> Step {
        self.oracle.sent = self.oracle.sent.max(self.server.sent);
        let Some(relay) = self.relay.as_ref().filter(|relay| relay.streams) else {
            return Ok(());
        };
        let delivery = &relay.feed.delivery;
        let position = delivery.acknowledge().0;
        let finished = reads && delivery.next() == Next::Finish;
        self.oracle
            .acknowledges(position, &self.wal, &self.broker)
            .map_err(Interrupt::Finding)?;
        match finished {
            true => self.finish(),
            false => Ok(()),
        }
    }

    fn streams(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.streams)
    }

    fn send(&mut self) {
        self.server.send(&self.wal, &mut self.dice);
    }

    fn receive(&mut self) -> Option<u64> {
        let position = self.server.receive()?;
        self.history.tally.reports += 1;
        self.history
            .note(|| format!("server: confirmed {}", self.server.confirmed));
        Some(position)
    }

    fn route(&mut self) -> Step<bool> {
        let Some((routed, message)) = self.broker.route() else {
            return Ok(false);
        };
        let (oracle, wal, plan) = (&mut self.oracle, &self.wal, &self.plan);
        match routed {
            Routed::Stored => {
                let stored = oracle.stores(&message, wal, plan);
                let repeated = stored.map_err(Interrupt::Finding)?;
                self.history.tally.repeated += u64::from(repeated);
            }
            Routed::Parked => {}
            Routed::Refused => {
                let refused = oracle.refuses(&message, wal, plan);
                refused.map_err(Interrupt::Finding)?;
                self.history.tally.refused += 1;
            }
        }
        let Message {
            number, message_id, ..
        } = message;
        self.history
            .note(|| format!("broker: {number}, {message_id}: {routed:?}"));
        Ok(true)
    }

    fn answer(&mut self) -> Step {
        for message in self.broker.answer(&mut self.dice) {
            let parked = self.oracle.parks(&message, &self.wal, &self.plan);
            parked.map_err(Interrupt::Finding)?;
        }
        Ok(())
    }
}

/// The relay's tasks, with nothing of their own but the order of calls.
impl World {
    /// As `producer::session` does it.
    fn connect(&mut self) -> Step {
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

    fn read(&mut self) -> Step {
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
    fn hear(&mut self) -> Step {
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
    fn report(&mut self) {
        if let Some(relay) = self.relay.as_ref().filter(|relay| relay.streams) {
            let position = relay.feed.delivery.acknowledge().0;
            self.server.inbound.push_back(position);
        }
    }

    fn tick(&mut self) -> Step {
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
    fn finish(&mut self) -> Step {
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

    fn end_session(&mut self) -> Result<(), String> {
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

/// What goes wrong.
impl World {
    fn fault(&mut self) -> Step {
        let fault = self.dice.pick(&FAULTS);
        self.history.note(|| format!("fault: {fault:?}"));
        match fault {
            Fault::CutServer => self.cut_server("the server is cut off"),
            Fault::CutBroker => {
                self.history.tally.cuts += 1;
                self.cut_broker()?;
                self.session_fails("the broker is cut off")
            }
            Fault::KillRelay => {
                self.history.tally.crashes += 1;
                self.relay = None;
                self.cut_broker()?;
                Err(Interrupt::Process("killed"))
            }
            Fault::KillServer => {
                self.history.tally.crashes += 1;
                let ended = self.cut_server("the server has died");
                self.server.crash();
                ended
            }
            Fault::KillBroker => {
                self.history.tally.crashes += 1;
                self.cut_broker()?;
                self.broker.crash(&mut self.dice);
                self.oracle.crashes(self.broker.queue);
                self.session_fails("the broker has died")
            }
            Fault::Binding => {
                self.broker.unbound = !self.broker.unbound;
                Ok(())
            }
            Fault::ParkingBinding => {
                self.broker.parking_unbound = !self.broker.parking_unbound;
                Ok(())
            }
            Fault::FullQueue => {
                self.broker.full = !self.broker.full;
                Ok(())
            }
            Fault::Alarm => {
                self.broker.alarm = !self.broker.alarm;
                Ok(())
            }
            Fault::Damage => {
                self.server.damage(&mut self.dice);
                Ok(())
            }
            Fault::Stall => (0..30).try_for_each(|_| self.tick()),
            Fault::Stop => {
                if let Some(relay) = &mut self.relay {
                    relay.feed.delivery.stop();
                }
                Ok(())
            }
        }
    }

    /// The connection to the server breaks; some of the reports on their way still arrive.
    fn cut_server(&mut self, reason: &'static str) -> Step {
        self.history.tally.cuts += 1;
        for _ in 0..self.dice.index(self.server.inbound.len() + 1) {
            self.receive();
        }
        self.server.end();
        self.session_fails(reason)
    }

    /// The connection to the broker breaks; some of the messages on their way still arrive.
    fn cut_broker(&mut self) -> Step {
        for _ in 0..self.dice.index(self.broker.wire.len() + 1) {
            self.route()?;
        }
        self.broker.cut();
        Ok(())
    }

    fn session_fails(&self, reason: &'static str) -> Step {
        match self.streams() {
            true => Err(Interrupt::Session(reason)),
            false => Ok(()),
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

fn text(interrupt: Interrupt) -> String {
    match interrupt {
        Interrupt::Session(why) | Interrupt::Process(why) => why.to_owned(),
        Interrupt::Finding(finding) => finding,
    }
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
