use std::{fmt, pin::Pin, time::Duration};

use pgevents_relay::{
    exit::{Chain, Exit, Fate},
    metrics::Board,
    producer::{self, ProducerError},
    shutdown::Shutdown,
};
use tokio::{
    runtime::Builder,
    sync::watch,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    ends::{FakeEnds, REPORTS},
    history::Tally,
    world::{DATABASE, Order, SLOT, Shared, World},
};

/// Longest time that a clean stop may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// After so much time a stop is over: beside [`SHUTDOWN`], what the last report and a connection
/// that is being made may take.
const STOPPED: Duration = Duration::from_secs(15);

/// A broker that has said for so long that it is blocked has not been waited for in vain.
const BLOCKED: Duration = Duration::from_secs(45);

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

/// Runs a seed to its end: unrest, then peace, in which everything has to arrive.
///
/// # Errors
///
/// The promise that was broken; with the steps that led to it if `trace`.
///
/// # Panics
///
/// When the system has no resources for an event loop.
pub fn run(seed: u64, trace: bool) -> Result<Tally, Violation> {
    // The relay's own choices, the pauses between its attempts.
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("build an event loop");
    let world = Shared::new(World::of(seed, trace));
    let mut run = Run {
        world: world.clone(),
        process: None,
        blocked: None,
    };
    let lived = runtime.block_on(run.live());
    drop(run);
    let mut world = world.lock();
    match lived {
        Ok(()) => Ok(Tally {
            seeds: 1,
            events: world.wal.events() as u64,
            ..world.history.tally
        }),
        Err(finding) => Err(Violation {
            seed,
            finding,
            steps: world.history.lines.take().unwrap_or_default(),
        }),
    }
}

/// One run: the world, and the relay in it.
struct Run {
    world: Shared,
    process: Option<Process>,
    /// A silence of the broker, which says that it is blocked.
    blocked: Option<Silence>,
}

/// A stretch of time in which nothing comes from the broker.
#[derive(Clone, Copy)]
struct Silence {
    since: Instant,
    /// Over which connection, how many refusals the relay has heard, and how many failures of the
    /// broker's side it has seen.
    connection: u64,
    refusals: u64,
    failures: u64,
}

/// A process of the relay: the loop that ships.
struct Process {
    relay: Pin<Box<dyn Future<Output = Result<(), ProducerError>>>>,
    stop: watch::Sender<bool>,
    /// When it was asked to stop.
    asked: Option<Instant>,
    board: Board,
}

impl Run {
    async fn live(&mut self) -> Result<(), String> {
        let steps = self.world.lock().plan.steps;
        for _ in 0..steps {
            self.step().await?;
        }
        let patience = {
            let mut world = self.world.lock();
            world.heal();
            3_000 + 200 * world.wal.events()
        };
        for step in 0..patience {
            self.step().await?;
            if step % 32 == 0 && self.world.lock().is_done() {
                return self.come_to_rest().await;
            }
        }
        Err(self.world.lock().left())
    }

    /// Everything has arrived: the relay is stopped, and there is nothing that it would do again.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        self.world.lock().history.note(|| "rest".to_owned());
        self.stop();
        while self.process.is_some() {
            self.step().await?;
        }
        Ok(())
    }

    /// One step of one part of the world; then the relay goes on for a moment.
    async fn step(&mut self) -> Result<(), String> {
        if self.process.is_none() && self.starts() {
            self.process = Some(Process::start(&self.world));
        }
        let order = self.world.lock().act();
        match order {
            Order::Nothing | Order::Stall(_) => {}
            Order::Work => {
                let disk = self.world.lock().disk.clone();
                disk.work();
            }
            Order::Kill(byte) => self.kill(byte),
            Order::Stop => self.stop(),
        }
        let pause = match order {
            Order::Stall(pause) => pause,
            _ => self.moment(),
        };
        self.go_on(pause).await;
        self.look();
        match self.world.lock().finding.take() {
            Some(finding) => Err(finding),
            None => Ok(()),
        }
    }

    /// Whether somebody starts the relay now.
    fn starts(&self) -> bool {
        self.world.lock().dice.once_in(4)
    }

    /// How long the relay has until the next step; mostly no time passes at all.
    fn moment(&self) -> Duration {
        let world = &mut *self.world.lock();
        let longest = match (world.unrest, world.dice.index(10)) {
            (true, 0..6) => return Duration::ZERO,
            (false, 0..6) | (true, 6..9) => 20,
            _ => 300,
        };
        Duration::from_millis(world.dice.number(1..longest))
    }

    async fn go_on(&mut self, pause: Duration) {
        let moment = async {
            match pause {
                Duration::ZERO => yield_now().await,
                pause => sleep(pause).await,
            }
        };
        let Some(process) = &mut self.process else {
            return moment.await;
        };
        let ended = tokio::select! {
            biased;
            ended = &mut process.relay => ended,
            () = moment => return,
        };
        let asked = process.asked.is_some();
        self.process = None;
        self.ended(ended, asked);
    }

    /// The process has ended by itself.
    fn ended(&mut self, ended: Result<(), ProducerError>, asked: bool) {
        let world = &mut *self.world.lock();
        world.cut_broker();
        let failure = match ended {
            Ok(()) if asked => {
                world.history.note(|| "relay: stopped as asked".to_owned());
                return;
            }
            Ok(()) => return world.find("the relay ends without being asked".to_owned()),
            Err(failure) => failure,
        };
        world
            .history
            .note(|| format!("relay ends: {}", Chain(&failure)));
        match failure.fate() {
            // The frame comes again, as it was before it was damaged.
            Fate::Stop(Exit::Undecodable) if world.server.damaged => {}
            // The operator reads the message and raises the limit.
            Fate::Stop(Exit::TooLarge) if world.plan.stops_at_large() => {
                world.plan.max_message_bytes = u64::MAX;
                world.broker.largest_body = u64::MAX;
            }
            Fate::Stop(Exit::Unroutable) if world.plan.stops_at_unroutable() => {}
            _ => world.find(format!("the relay ends: {}", Chain(&failure))),
        }
    }

    fn kill(&mut self, byte: usize) {
        self.process = None;
        let disk = self.world.lock().disk.clone();
        disk.dies(byte);
        let world = &mut *self.world.lock();
        world.cut_broker();
        world.cut_server();
    }

    fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.asked.get_or_insert_with(Instant::now);
            process.stop.send_replace(true);
        }
    }

    /// What shows from outside: a stop that does not end, and a broker that is given up though it
    /// says that it is blocked.
    fn look(&mut self) {
        let world = &mut *self.world.lock();
        let Some(process) = &self.process else {
            self.blocked = None;
            return;
        };
        if process.asked.is_some_and(|asked| asked.elapsed() > STOPPED) {
            world.find("a stop takes too long".to_owned());
        }
        // Three of them fit into the server's patience.
        let late = |at: Instant| at.elapsed() > REPORTS + Duration::from_secs(1);
        if world.relay.reported_at.is_some_and(late)
            && world.link.takes_more()
            && world.server.streams
        {
            world.find("the server hears nothing from the relay".to_owned());
        }
        let now = Silence {
            since: Instant::now(),
            connection: world.broker.connection,
            refusals: world.relay.refusals,
            failures: process.board.read().broker_failures,
        };
        self.blocked = match self.blocked {
            _ if !world.broker.alarm || world.broker.opened != now.connection => None,
            Some(silence) if silence.goes_on(now) => {
                if silence.since.elapsed() > BLOCKED && now.failures > silence.failures {
                    world.find("gives up a broker that has said that it is blocked".to_owned());
                }
                Some(silence)
            }
            _ => Some(now),
        };
    }
}

impl Silence {
    /// Whether nothing has happened since that could end a session.
    fn goes_on(self, now: Self) -> bool {
        (self.connection, self.refusals) == (now.connection, now.refusals)
    }
}

impl Process {
    fn start(world: &Shared) -> Self {
        let (stop, requested) = watch::channel(false);
        let board = Board::default();
        let plan = {
            let world = &mut *world.lock();
            world.relay.acknowledged = 0;
            world.history.note(|| "relay: starts".to_owned());
            producer::Plan {
                slot: SLOT.to_owned(),
                database: DATABASE.to_owned(),
                asked: 0,
                policy: world.plan.policy,
                shutdown_timeout: SHUTDOWN,
                state_file: world.state_file(),
                accept_gap: false,
                gap_record: false,
            }
        };
        let (ends, posts) = (FakeEnds(world.clone()), board.clone());
        let relay = async move {
            let shutdown = Shutdown::of(requested);
            producer::run(&ends, &plan, &shutdown, &posts).await
        };
        Self {
            relay: Box::pin(relay),
            stop,
            asked: None,
            board,
        }
    }
}
