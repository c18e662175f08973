mod fault;
mod session;

use std::{fmt, time::Duration};

use pgevents_relay::delivery::Next;

use crate::{
    broker::{Broker, Message, Routed},
    dice::Dice,
    history::{History, Tally},
    oracle::Oracle,
    plan::Plan,
    relay::Relay,
    wal::Wal,
    walsender::Walsender,
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

fn text(interrupt: Interrupt) -> String {
    match interrupt {
        Interrupt::Session(why) | Interrupt::Process(why) => why.to_owned(),
        Interrupt::Finding(finding) => finding,
    }
}
