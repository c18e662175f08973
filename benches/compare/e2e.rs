//! From commit to consumer: rates beside what the broker can take, and latency at fixed loads.

mod amqp;
mod ceiling;
mod consumer;
mod load;
mod relay;
mod report;
mod stage;
pub mod wal2json;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use pgevents_tests::lab::RabbitMq;

use self::amqp::Broker;
use self::load::Offer;
use self::relay::{Contender, Cost};
use self::stage::Stage;
use crate::run_folder::RunFolder;
use crate::statistics::median;
use crate::{before, cores, machine, server};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds of rates; latency is measured once for each load.
    pub rounds: u32,
    /// Events of a run that measures a rate.
    pub events: u64,
    /// Seconds of a run that measures latency; 0: none is.
    pub seconds: u64,
    /// Whether the broker has the last core for itself, and everything else the other ones.
    pub broker_core: bool,
}

/// Queue types: the plain one, and the one that is written to disk before it confirms.
const QUEUES: [&str; 2] = ["classic", "quorum"];

const DATABASE: &str = "e2e";

/// The names of the broker's own rate in the results: into a queue that nobody reads, as all rates
/// are measured, and into one that is read meanwhile, as it is where latency is measured.
const CEILING: &str = "ceiling";
const CEILING_READ: &str = "ceiling, read";

/// The relay with rows that were written before it starts, as after a pause: as for the ceiling,
/// nobody else works on the machine.
const BACKLOG: &str = "pgevents, backlog";
const BACKLOG_BEFORE: &str = "pgevents before, backlog";

/// At the start of a run every cache is cold; latencies are counted from here on.
const WARM_UP: Duration = Duration::from_secs(1);

/// Rows of a transaction at a load that is a share of the ceiling.
const GROUP: u64 = 20;

/// Where events come from while a rate is measured.
#[derive(Clone, Copy, Debug)]
enum Source {
    Ceiling,
    CeilingRead,
    Relay(Contender),
    Backlog(Contender),
}

impl Source {
    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Ceiling,
            Self::Backlog(Contender::Pgevents),
            Self::Relay(Contender::Pgevents),
            Self::Relay(Contender::Wal2json),
            Self::CeilingRead,
        ];
        if before::folder().is_some() {
            all.insert(2, Self::Backlog(Contender::Before));
            all.insert(4, Self::Relay(Contender::Before));
        }
        all
    }
}

/// A measured rate.
#[derive(Clone, Debug)]
struct Rate {
    queue: &'static str,
    contender: &'static str,
    round: u32,
    events: u64,
    took: Duration,
    broker_cpu: Duration,
    /// Of a relay; the ceiling has none.
    cost: Cost,
    lost: u64,
    duplicated: u64,
}

/// A measured latency, in microseconds.
#[derive(Clone, Debug)]
struct Latency {
    queue: &'static str,
    contender: &'static str,
    /// Offered events a second.
    offered: f64,
    rows: u64,
    events: u64,
    /// Events a second as they were committed.
    achieved: f64,
    p50: i64,
    p99: i64,
    p999: i64,
    highest: i64,
    cost: Cost,
    lost: u64,
    duplicated: u64,
}

/// Runs everything, and writes raw numbers, summary and plots into the folder `e2e` of `out`.
///
/// # Errors
///
/// When something does not start or ends, or an event was lost.
pub async fn run(plan: Plan, out: &Path) -> anyhow::Result<()> {
    let folder = RunFolder::make(out, "e2e")?;
    // What is started later inherits the cores.
    if plan.broker_core {
        cores::confine(cores::Part::Last)?;
    }
    let rabbitmq = RabbitMq::start().await?;
    if plan.broker_core {
        cores::confine(cores::Part::Others)?;
    }
    let postgres = server::start().await?;
    let mut facts = machine::describe(postgres.installation());
    if plan.broker_core {
        facts.push("the broker has a core of its own, everything else the other ones".into());
    }
    let client = server::new_database(&postgres, DATABASE).await?;
    load::make_table(&client).await?;
    let broker = Broker::of(&rabbitmq);
    let stage = Stage {
        postgres,
        rabbitmq,
        broker,
        client,
    };
    let (mut rates, mut latencies) = (Vec::new(), Vec::new());
    for queue in QUEUES {
        for round in 1..=plan.rounds {
            let mut order = Source::all();
            let first = round as usize % order.len();
            order.rotate_left(first);
            for source in order {
                let rate = match source {
                    Source::Ceiling => stage.ceiling(queue, round, plan.events).await,
                    Source::CeilingRead => stage.ceiling_read(queue, round, plan.events).await,
                    Source::Relay(relay) => stage.rate(relay, queue, round, plan.events).await,
                    Source::Backlog(relay) => stage.backlog(relay, queue, round, plan.events).await,
                };
                let rate = rate.with_context(|| format!("measure a rate, {queue} queue"))?;
                println!("{}", report::rate_line(&rate));
                rates.push(rate);
            }
            report::write(&folder, &facts, &rates, &latencies, plan)?;
        }
        if plan.seconds == 0 {
            continue;
        }
        let ceiling =
            middle_rate(&rates, queue, CEILING_READ).context("no ceiling was measured")?;
        for offer in offers(ceiling) {
            for contender in Contender::ALL {
                let latency = stage.latency(contender, queue, offer, plan.seconds).await;
                let latency = latency.with_context(|| format!("measure latency, {queue} queue"))?;
                println!("{}", report::latency_line(&latency));
                latencies.push(latency);
                report::write(&folder, &facts, &rates, &latencies, plan)?;
            }
        }
    }
    println!("{}", report::summary(&facts, &rates, &latencies, plan));
    println!(
        "raw numbers, summary and plots: {}",
        folder.file("").display()
    );
    Ok(())
}

/// The fixed loads, and four fifths of what the broker can take.
fn offers(ceiling: f64) -> [Offer; 3] {
    let single = |transactions| Offer {
        transactions,
        rows: 1,
    };
    let grouped = Offer {
        transactions: ceiling * 0.8 / GROUP as f64,
        rows: GROUP,
    };
    [single(1_000.0), single(5_000.0), grouped]
}

/// Median of a contender's rates, in events a second.
fn middle_rate(rates: &[Rate], queue: &str, contender: &str) -> Option<f64> {
    let matching = rates
        .iter()
        .filter(|rate| rate.queue == queue && rate.contender == contender);
    median(&matching.map(Rate::per_second).collect::<Vec<f64>>())
}

impl Rate {
    fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}
