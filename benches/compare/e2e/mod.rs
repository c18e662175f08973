//! From commit to consumer: rates beside what the broker can take, and latency at fixed loads.

mod amqp;
mod ceiling;
mod consumer;
mod load;
mod relay;
mod report;
pub mod wal2json;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pgevents_proto::Lsn;
use pgevents_tests::lab::{Postgres, RabbitMq};
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

use self::amqp::Broker;
use self::consumer::{Arrivals, Consumer};
use self::load::Offer;
use self::relay::{Contender, Cost, Relay};
use crate::run_folder::RunFolder;
use crate::statistics::{median, percentile};
use crate::{machine, process_clock, server};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds of rates; latency is measured once for each load.
    pub rounds: u32,
    /// Events of a run that measures a rate.
    pub events: u64,
    /// Seconds of a run that measures latency.
    pub seconds: u64,
}

/// Queue types: the plain one, and the one that is written to disk before it confirms.
const QUEUES: [&str; 2] = ["classic", "quorum"];

const DATABASE: &str = "e2e";

/// The names of the broker's own rate in the results: into a queue that nobody reads, as all rates
/// are measured, and into one that is read meanwhile, as it is where latency is measured.
const CEILING: &str = "ceiling";
const CEILING_READ: &str = "ceiling, read";

/// The relay with rows that were written before it starts, as after a pause: as for the ceiling, nobody
/// else works on the machine.
const BACKLOG: &str = "pgevents, backlog";

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
    Backlog,
}

impl Source {
    const ALL: [Self; 5] = [
        Self::Ceiling,
        Self::Backlog,
        Self::Relay(Contender::Pgevents),
        Self::Relay(Contender::Wal2json),
        Self::CeilingRead,
    ];
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

/// A relay that has rows to bring to the broker.
struct Relayed {
    relay: Relay,
    /// When the time began to run.
    begun: Instant,
    /// The position after the rows.
    end: Lsn,
    broker_cpu_before: Duration,
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

/// The servers and a connection.
struct Stage {
    postgres: Postgres,
    rabbitmq: RabbitMq,
    broker: Broker,
    client: Client,
}

/// Runs everything, and writes raw numbers, summary and plots into the folder `e2e` of `out`.
///
/// # Errors
///
/// When something does not start or ends, or an event was lost.
pub async fn run(plan: Plan, out: &Path) -> anyhow::Result<()> {
    let folder = RunFolder::make(out, "e2e")?;
    let postgres = server::start().await?;
    let facts = machine::describe(postgres.installation());
    let client = server::new_database(&postgres, DATABASE).await?;
    load::make_table(&client).await?;
    let rabbitmq = RabbitMq::start().await?;
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
            let mut order = Source::ALL;
            order.rotate_left(round as usize % Source::ALL.len());
            for source in order {
                let rate = match source {
                    Source::Ceiling => stage.ceiling(queue, round, plan.events).await,
                    Source::CeilingRead => stage.ceiling_read(queue, round, plan.events).await,
                    Source::Relay(relay) => stage.rate(relay, queue, round, plan.events).await,
                    Source::Backlog => stage.backlog(queue, round, plan.events).await,
                };
                let rate = rate.with_context(|| format!("measure a rate, {queue} queue"))?;
                println!("{}", report::rate_line(&rate));
                rates.push(rate);
            }
            report::write(&folder, &facts, &rates, &latencies, plan)?;
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

impl Stage {
    /// What the broker takes from a bare connection.
    async fn ceiling(&self, queue: &'static str, round: u32, events: u64) -> anyhow::Result<Rate> {
        let name = format!("{CEILING}_{queue}_{round}");
        amqp::declare(&self.broker, &name, queue)?;
        let broker_pid = self.rabbitmq.process().pid();
        let before = process_clock::cpu_time_of_threads(broker_pid)?;
        let (broker, exchange) = (self.broker.clone(), name.clone());
        let sent = spawn_blocking(move || ceiling::measure(&broker, &exchange, events)).await??;
        let broker_cpu = process_clock::cpu_time_of_threads(broker_pid)?.saturating_sub(before);
        let consumer = Consumer::start(&self.broker, &name)?;
        let arrivals = self.account(consumer, &name, events).await?;
        Ok(Rate {
            queue,
            contender: CEILING,
            round,
            events,
            took: sent.took,
            broker_cpu,
            cost: Cost::default(),
            lost: arrivals.lost,
            duplicated: arrivals.duplicated,
        })
    }

    /// The same while a consumer takes the events out again: until it has the last one.
    async fn ceiling_read(
        &self,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let name = format!("{CEILING}_read_{queue}_{round}");
        amqp::declare(&self.broker, &name, queue)?;
        let broker_pid = self.rabbitmq.process().pid();
        let before = process_clock::cpu_time_of_threads(broker_pid)?;
        let (broker, exchange) = (self.broker.clone(), name.clone());
        let mut consumer = Consumer::start(&self.broker, &name)?;
        let taking = spawn_blocking(move || consumer.take(events).map(|taken| (consumer, taken)));
        let sent = spawn_blocking(move || ceiling::measure(&broker, &exchange, events)).await??;
        let (consumer, mut arrivals) = taking.await??;
        let broker_cpu = process_clock::cpu_time_of_threads(broker_pid)?.saturating_sub(before);
        arrivals.duplicated += consumer.end()?;
        amqp::delete(&self.broker, &name)?;
        check(&name, &arrivals)?;
        let last = arrivals.events.last().map_or(0, |&(_, time)| time);
        Ok(Rate {
            queue,
            contender: CEILING_READ,
            round,
            events,
            took: Duration::from_micros(u64::try_from(last - sent.begun)?),
            broker_cpu,
            cost: Cost::default(),
            lost: arrivals.lost,
            duplicated: arrivals.duplicated,
        })
    }

    /// How fast rows get through: from before the first commit to the last acknowledgement.
    async fn rate(
        &self,
        contender: Contender,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let name = format!("{}_{queue}_{round}", contender.name());
        let relay = self.prepare(contender, queue, &name).await?;
        let before = process_clock::cpu_time_of_threads(self.rabbitmq.process().pid())?;
        let begun = Instant::now();
        let end = load::burst(&self.client, events).await?;
        let relayed = Relayed {
            relay,
            begun,
            end,
            broker_cpu_before: before,
        };
        let rate = self.relayed(relayed, queue, &name, events).await?;
        Ok(Rate {
            contender: contender.name(),
            round,
            ..rate
        })
    }

    /// How fast a backlog gets through: from the start of the stream to the last acknowledgement.
    async fn backlog(&self, queue: &'static str, round: u32, events: u64) -> anyhow::Result<Rate> {
        let name = format!("backlog_{queue}_{round}");
        self.make_route(Contender::Pgevents, queue, &name).await?;
        let end = load::burst(&self.client, events).await?;
        let before = process_clock::cpu_time_of_threads(self.rabbitmq.process().pid())?;
        let relay = self.start(Contender::Pgevents, &name).await?;
        let relayed = Relayed {
            begun: relay.streams_since(),
            relay,
            end,
            broker_cpu_before: before,
        };
        let rate = self.relayed(relayed, queue, &name, events).await?;
        Ok(Rate {
            contender: BACKLOG,
            round,
            ..rate
        })
    }

    /// Waits until everything has been acknowledged, and looks what has arrived.
    async fn relayed(
        &self,
        relayed: Relayed,
        queue: &'static str,
        name: &str,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let Relayed {
            relay,
            begun,
            end,
            broker_cpu_before: before,
        } = relayed;
        relay.confirmed(&self.client, end).await?;
        let took = begun.elapsed();
        let broker_pid = self.rabbitmq.process().pid();
        let broker_cpu = process_clock::cpu_time_of_threads(broker_pid)?.saturating_sub(before);
        let cost = relay.cost()?;
        relay.end(&self.client).await?;
        let consumer = Consumer::start(&self.broker, name)?;
        let arrivals = self.account(consumer, name, events).await?;
        Ok(Rate {
            queue,
            contender: "",
            round: 0,
            events,
            took,
            broker_cpu,
            cost,
            lost: arrivals.lost,
            duplicated: arrivals.duplicated,
        })
    }

    /// How long rows take from their commit to the consumer, at a load that does not wait.
    async fn latency(
        &self,
        contender: Contender,
        queue: &'static str,
        offer: Offer,
        seconds: u64,
    ) -> anyhow::Result<Latency> {
        let Offer { transactions, rows } = offer;
        let name = format!(
            "{}_{queue}_{}",
            contender.name(),
            transactions as u64 * rows
        );
        let relay = self.prepare(contender, queue, &name).await?;
        let count = (transactions * seconds as f64) as u64 * rows;
        let mut consumer = Consumer::start(&self.broker, &name)?;
        let taking = spawn_blocking(move || consumer.take(count).map(|taken| (consumer, taken)));
        let end = load::steady(&self.client, offer, count).await?;
        relay.confirmed(&self.client, end).await?;
        let (consumer, mut arrivals) = taking.await??;
        let cost = relay.cost()?;
        relay.end(&self.client).await?;
        arrivals.duplicated += consumer.end()?;
        amqp::delete(&self.broker, &name)?;
        check(&name, &arrivals)?;
        let commits = load::commit_times(&self.client).await?;
        let first = commits.values().min().copied().unwrap_or(0);
        let last = commits.values().max().copied().unwrap_or(0);
        let counted_from = first + WARM_UP.as_micros() as i64;
        let latency = |&(id, arrived): &(u64, i64)| {
            let committed = *commits.get(&id)?;
            (committed >= counted_from).then_some(arrived - committed)
        };
        let mut sorted: Vec<i64> = arrivals.events.iter().filter_map(latency).collect();
        sorted.sort_unstable();
        let at = |share| percentile(&sorted, share).context("no event was measured");
        Ok(Latency {
            queue,
            contender: contender.name(),
            offered: transactions * rows as f64,
            rows,
            events: count,
            achieved: count as f64 * 1e6 / (last - first).max(1) as f64,
            p50: at(0.5)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            highest: at(1.0)?,
            cost,
            lost: arrivals.lost,
            duplicated: arrivals.duplicated,
        })
    }

    /// An empty table, an exchange with its queue, a slot, and the relay between them.
    async fn prepare(&self, who: Contender, queue: &str, name: &str) -> anyhow::Result<Relay> {
        self.make_route(who, queue, name).await?;
        self.start(who, name).await
    }

    /// All of it but the relay.
    async fn make_route(&self, who: Contender, queue: &str, name: &str) -> anyhow::Result<()> {
        self.client.batch_execute("TRUNCATE orders").await?;
        amqp::declare(&self.broker, name, queue)?;
        who.make_slot(name, &self.client).await
    }

    async fn start(&self, who: Contender, name: &str) -> anyhow::Result<Relay> {
        Relay::start(
            who,
            name,
            DATABASE,
            &self.postgres,
            &self.rabbitmq,
            &self.client,
        )
        .await
    }

    /// Takes everything out of the queue and looks whether it is what was written.
    async fn account(
        &self,
        mut consumer: Consumer,
        name: &str,
        events: u64,
    ) -> anyhow::Result<Arrivals> {
        let taking = spawn_blocking(move || consumer.take(events).map(|taken| (consumer, taken)));
        let (consumer, mut arrivals) = taking.await??;
        arrivals.duplicated += consumer.end()?;
        amqp::delete(&self.broker, name)?;
        check(name, &arrivals)?;
        Ok(arrivals)
    }
}

/// A run that lost something, or changed the order without a repetition, is void.
fn check(name: &str, arrivals: &Arrivals) -> anyhow::Result<()> {
    let Arrivals {
        lost,
        duplicated,
        out_of_order,
        ..
    } = arrivals;
    if *lost > 0 || (*out_of_order > 0 && *duplicated == 0) {
        bail!("{name} is void: {lost} lost, {duplicated} duplicated, {out_of_order} out of order");
    }
    Ok(())
}
