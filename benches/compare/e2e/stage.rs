//! One measurement: the route, the relay, the load, and what has arrived.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pgevents_proto::Lsn;
use pgevents_tests::lab::{Postgres, RabbitMq};
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

use super::amqp::{self, Broker};
use super::consumer::{Arrivals, Consumer};
use super::load::{self, Offer};
use super::relay::{Contender, Cost, Relay};
use super::{
    BACKLOG, BACKLOG_BEFORE, CEILING, CEILING_READ, DATABASE, Latency, Rate, WARM_UP, ceiling,
};
use crate::process_clock;
use crate::statistics::percentile;

/// The servers and a connection.
pub struct Stage {
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub broker: Broker,
    pub client: Client,
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

impl Stage {
    /// What the broker takes from a bare connection.
    pub async fn ceiling(
        &self,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let name = format!("{CEILING}_{queue}_{round}");
        amqp::declare(&self.broker, &name, queue)?;
        let before = self.broker_cpu()?;
        let (broker, exchange) = (self.broker.clone(), name.clone());
        let sent = spawn_blocking(move || ceiling::measure(&broker, &exchange, events)).await??;
        let broker_cpu = self.broker_cpu()?.saturating_sub(before);
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
    pub async fn ceiling_read(
        &self,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let name = format!("{CEILING}_read_{queue}_{round}");
        amqp::declare(&self.broker, &name, queue)?;
        let before = self.broker_cpu()?;
        let (broker, exchange) = (self.broker.clone(), name.clone());
        let mut consumer = Consumer::start(&self.broker, &name)?;
        let taking = spawn_blocking(move || consumer.take(events).map(|taken| (consumer, taken)));
        let sent = spawn_blocking(move || ceiling::measure(&broker, &exchange, events)).await??;
        let (consumer, arrivals) = taking.await??;
        let broker_cpu = self.broker_cpu()?.saturating_sub(before);
        let arrivals = self.close(consumer, arrivals, &name)?;
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
    pub async fn rate(
        &self,
        contender: Contender,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let name = format!("{}_{queue}_{round}", contender.name().replace(' ', "_"));
        let relay = self.prepare(contender, queue, &name).await?;
        let before = self.broker_cpu()?;
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
    pub async fn backlog(
        &self,
        contender: Contender,
        queue: &'static str,
        round: u32,
        events: u64,
    ) -> anyhow::Result<Rate> {
        let (name, shown) = match contender {
            Contender::Before => (format!("before_{queue}_{round}"), BACKLOG_BEFORE),
            _ => (format!("backlog_{queue}_{round}"), BACKLOG),
        };
        self.make_route(contender, queue, &name).await?;
        let end = load::burst(&self.client, events).await?;
        let before = self.broker_cpu()?;
        let relay = self.start(contender, &name).await?;
        let relayed = Relayed {
            begun: relay.streams_since(),
            relay,
            end,
            broker_cpu_before: before,
        };
        let rate = self.relayed(relayed, queue, &name, events).await?;
        Ok(Rate {
            contender: shown,
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
        let broker_cpu = self.broker_cpu()?.saturating_sub(before);
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
    pub async fn latency(
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
        let (consumer, arrivals) = taking.await??;
        let cost = relay.cost()?;
        relay.end(&self.client).await?;
        let arrivals = self.close(consumer, arrivals, &name)?;
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
        let (consumer, arrivals) = taking.await??;
        self.close(consumer, arrivals, name)
    }

    /// Ends a consumer that has all events, removes the route, and looks at what has arrived.
    fn close(
        &self,
        consumer: Consumer,
        mut arrivals: Arrivals,
        name: &str,
    ) -> anyhow::Result<Arrivals> {
        arrivals.duplicated += consumer.end()?;
        amqp::delete(&self.broker, name)?;
        check(name, &arrivals)?;
        Ok(arrivals)
    }

    /// CPU time of the broker so far.
    fn broker_cpu(&self) -> anyhow::Result<Duration> {
        process_clock::cpu_time_of_threads(self.rabbitmq.process().pid())
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
