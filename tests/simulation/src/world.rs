mod fault;
mod relay_side;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pgevents_relay::position::StateFile;

use tokio::time::Instant;

use crate::{
    broker::{Broker, Message, Routed},
    dice::Dice,
    disk::Disk,
    history::History,
    link::{Link, Said},
    oracle::Oracle,
    plan::Plan,
    wal::Wal,
    walsender::Walsender,
};

/// Name of the slot and of its database.
pub const SLOT: &str = "s";
pub const DATABASE: &str = "d";

/// Most bytes that wait between the server and the relay.
const SOCKET: usize = 64 * 1024;

/// Everything around the relay: a server, a broker, a disk, and who knows what has to become of it.
#[derive(Debug)]
pub struct World {
    pub dice: Dice,
    pub plan: Plan,
    pub wal: Wal,
    pub server: Walsender,
    pub link: Link,
    pub broker: Broker,
    pub disk: Disk,
    pub oracle: Oracle,
    /// What the running process of the relay has done.
    pub relay: Deeds,
    /// Whether faults still happen, and the log still grows.
    pub unrest: bool,
    pub history: History,
    /// The first promise that was broken.
    pub finding: Option<String>,
}

/// What a relay has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deeds {
    /// End of the last transaction that it has read in this session.
    pub committed: u64,
    /// End of the last transaction that this process has acknowledged.
    pub acknowledged: u64,
    /// How often it has heard that a message was refused.
    pub refusals: u64,
    /// When its session has last written a report; `None`: it has no session.
    pub reported_at: Option<Instant>,
}

/// What has to be done to the relay's process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing: it goes on.
    Nothing,
    /// Its disk does some work.
    Work,
    /// It is killed, and its disk has written so many bytes more.
    Kill(usize),
    /// It is asked to stop.
    Stop,
    /// Nothing happens for so long.
    Stall(Duration),
}

/// The world in the hands of all who are part of it. One thread does everything.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<World>>);

/// What may happen in a step.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write,
    Send,
    Keepalive,
    Arrive,
    Receive,
    Checkpoint,
    Route,
    Answer,
    Deliver,
    Work,
    Tick,
    Fault,
}

/// Each part has its turn about as often as it does something in reality.
const ACTS: [(u32, Act); 12] = [
    (20, Act::Write),
    (12, Act::Send),
    (3, Act::Keepalive),
    (20, Act::Arrive),
    (6, Act::Receive),
    (1, Act::Checkpoint),
    (24, Act::Route),
    (12, Act::Answer),
    (12, Act::Deliver),
    (6, Act::Work),
    (1, Act::Tick),
    (8, Act::Fault),
];

impl Shared {
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// The world of a seed, before anything has happened.
    pub fn of(seed: u64, trace: bool) -> Self {
        let mut dice = Dice::of(seed);
        let plan = Plan::of(&mut dice);
        let wal = Wal::new();
        let confirmed = match plan.slot_exists {
            true => wal.end,
            false => 0,
        };
        let mut history = History {
            lines: trace.then(Vec::new),
            ..History::default()
        };
        history.note(|| format!("{plan:?}"));
        Self {
            dice,
            plan,
            wal,
            server: Walsender::with_slot_at(confirmed),
            link: Link::default(),
            broker: Broker::with_limit(plan.max_message_bytes),
            disk: Disk::default(),
            oracle: Oracle::default(),
            relay: Deeds::default(),
            unrest: true,
            history,
            finding: None,
        }
    }

    /// The file that the relay keeps its position in; `None`: the slot alone does.
    pub fn state_file(&self) -> Option<StateFile<Disk>> {
        let file = || StateFile::on(self.disk.clone(), "state".into());
        self.plan.state_file.then(file)
    }

    /// One step of one part.
    pub fn act(&mut self) -> Order {
        self.history.tally.steps += 1;
        match self.dice.pick(&ACTS) {
            Act::Write if self.unrest => self.wal.grow(&mut self.dice, self.plan.longest_text),
            Act::Checkpoint => self.server.persisted = self.server.confirmed,
            Act::Send if self.can_send() => {
                self.server.send(&self.wal, &mut self.link, &mut self.dice);
            }
            Act::Keepalive if self.can_send() => {
                let reply = self.dice.once_in(4);
                self.server.keepalive(&mut self.link, reply);
            }
            Act::Write | Act::Send | Act::Keepalive => {}
            Act::Arrive => self.arrive(),
            Act::Receive => drop(self.receive()),
            Act::Route => drop(self.route()),
            Act::Answer => self.answer(),
            Act::Deliver => {
                let replies = self.dice.index(self.broker.replies.len() + 1);
                self.broker.deliver(replies);
            }
            Act::Work => return Order::Work,
            Act::Tick => {
                return Order::Stall(Duration::from_millis(self.dice.number(1_000..3_000)));
            }
            Act::Fault if self.unrest && self.dice.once_in(self.plan.fault_once_in / 8 + 1) => {
                return self.fault();
            }
            Act::Fault => {
                self.server.down &= !self.dice.once_in(4);
                self.broker.down &= !self.dice.once_in(4);
            }
        }
        Order::Nothing
    }

    /// Everything works from now on, and nothing new is written.
    pub fn heal(&mut self) {
        self.unrest = false;
        self.server.down = false;
        self.broker.heal();
        self.disk.set_full(false);
        self.history.note(|| "peace".to_owned());
    }

    /// Whether everything has arrived, and the server knows.
    pub fn is_done(&mut self) -> bool {
        self.server.confirmed >= self.wal.end
            && self.oracle.missing(&self.wal, &self.broker).is_none()
    }

    /// What is left to do in a world without faults.
    pub fn left(&mut self) -> String {
        match self.oracle.missing(&self.wal, &self.broker) {
            Some(event) => format!("event {event} never arrives"),
            None => format!(
                "the slot stays at {}, though everything up to {} has arrived",
                self.server.confirmed, self.wal.end
            ),
        }
    }

    /// Keeps the first promise that was broken.
    pub fn find(&mut self, finding: String) {
        self.history.note(|| format!("finding: {finding}"));
        self.finding.get_or_insert(finding);
    }

    fn judge(&mut self, judged: Result<(), String>) {
        if let Err(finding) = judged {
            self.find(finding);
        }
    }

    fn can_send(&self) -> bool {
        self.server.streams && self.link.under_way() < SOCKET
    }

    /// Some of what the server has sent comes to the relay, cut anywhere.
    fn arrive(&mut self) {
        let most = self.link.under_way();
        let bytes = match self.dice.once_in(3) {
            true => self.dice.index(most + 1),
            false => most,
        };
        self.link.arrive(bytes);
    }

    /// The server reads what the relay says; `None`: nothing.
    fn receive(&mut self) -> Option<Said> {
        let said = self.link.receive()?;
        match said {
            Said::Report { flush, ask } => {
                self.server.confirmed = self.server.confirmed.max(flush);
                self.history.tally.reports += 1;
                self.history.note(|| format!("server: hears {flush}"));
                if ask && self.server.streams {
                    self.server.keepalive(&mut self.link, false);
                }
            }
            Said::Done => {
                let (committed, confirmed) = (self.relay.committed, self.server.confirmed);
                // What cannot be written to the file is not acknowledged.
                let recorded = !self.plan.state_file || !self.disk.has_failed();
                if committed > confirmed && recorded {
                    self.find(format!(
                        "a clean stop at {confirmed} leaves a transaction up to {committed} to be \
                         sent again"
                    ));
                }
                self.history.tally.stops += 1;
                self.history.note(|| "server: the stream ends".to_owned());
                self.server.end();
                self.link.close();
            }
            Said::Goodbye => {}
        }
        Some(said)
    }

    fn route(&mut self) -> bool {
        let Some((routed, message)) = self.broker.route() else {
            return false;
        };
        let known = self.known();
        let (oracle, wal, plan) = (&mut self.oracle, &self.wal, &self.plan);
        let judged = match routed {
            Routed::Stored => oracle.stores(&message, known, wal, plan).map(|repeated| {
                self.history.tally.repeated += u64::from(repeated);
            }),
            Routed::Parked => Ok(()),
            Routed::Refused => {
                self.history.tally.refused += 1;
                oracle.refuses(&message, wal, plan)
            }
        };
        self.judge(judged);
        let Message {
            number, message_id, ..
        } = message;
        self.history
            .note(|| format!("broker: {number}, {message_id}: {routed:?}"));
        true
    }

    fn answer(&mut self) {
        for message in self.broker.answer(&mut self.dice) {
            let parked = self.oracle.parks(&message, &self.wal, &self.plan);
            self.judge(parked);
        }
    }
}
