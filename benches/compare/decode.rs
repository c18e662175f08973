//! Output plugins side by side: the same WAL, read by each in turn, round after round.

mod contender;
mod measurement;
mod report;
mod stream;
mod workload;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use pgevents_proto::Lsn;
use pgevents_tests::lab::Postgres;
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

pub use self::contender::{Contender, FLOOR, PGEVENTS};
use self::contender::{EVERYTHING, WANTED, contenders, plugins};
pub use self::measurement::Measurement;
use self::measurement::slot_name;
pub use self::stream::Reader;
pub use self::workload::Workload;
use crate::run_folder::RunFolder;
use crate::{machine, server};

/// One line of the raw numbers.
#[derive(Clone, Debug)]
struct Sample {
    workload: String,
    contender: &'static str,
    round: u32,
    changes: u64,
    measured: Measurement,
}

/// Runs the workloads whose name contains `only`, and writes raw numbers, summary and plots into
/// the folder `decode` of `out`.
///
/// # Errors
///
/// When a server does not start or refuses something, or a file cannot be written.
pub async fn run(
    rounds: u32,
    only: Option<&str>,
    reader: Reader,
    out: &Path,
) -> anyhow::Result<()> {
    let folder = RunFolder::make(out, "decode")?;
    let postgres = server::start().await?;
    let mut facts = machine::describe(postgres.installation());
    facts.push(reader.describe().into());
    let wanted = |workload: &Workload| only.is_none_or(|part| workload.name.contains(part));
    let workloads: Vec<Workload> = Workload::all().into_iter().filter(wanted).collect();
    if workloads.is_empty() {
        bail!("no workload has that in its name");
    }
    let mut samples = Vec::new();
    for workload in &workloads {
        measure(&postgres, workload, rounds, reader, &mut samples).await?;
        // After each workload: what has been measured is not lost by an interruption.
        report::write(&folder, &facts, &workloads, &samples, rounds)?;
    }
    println!("{}", report::summary(&facts, &workloads, &samples, rounds));
    println!(
        "raw numbers, summary and plots: {}",
        folder.file("").display()
    );
    Ok(())
}

async fn measure(
    postgres: &Postgres,
    workload: &Workload,
    rounds: u32,
    reader: Reader,
    samples: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let database = workload.name.as_str();
    let client = server::new_database(postgres, database).await?;
    let end = prepare(&client, workload, &plugins()).await?;
    println!(
        "{database}: {} changes written in {:.1} s",
        workload.changes,
        begun.elapsed().as_secs_f64()
    );
    let contenders = contenders(workload);
    for round in 1..=rounds {
        let mut line = format!("  round {round}:");
        for contender in in_turn(&contenders, round) {
            let (address, who) = (server::address(postgres, database), contender.clone());
            let taking = spawn_blocking(move || Measurement::take(&address, &who, end, reader));
            let measured = taking.await??;
            line.push_str(&format!(
                " {} {:.3} s",
                contender.name,
                measured.cpu.as_secs_f64()
            ));
            samples.push(Sample {
                workload: workload.name.clone(),
                contender: contender.name,
                round,
                changes: workload.changes,
                measured,
            });
        }
        println!("{line}");
    }
    drop(client);
    server::drop_database(postgres, database).await
}

/// Another one begins in each round, so that none always comes after the same.
fn in_turn(contenders: &[Contender], round: u32) -> impl Iterator<Item = &Contender> {
    let first = round as usize % contenders.len();
    contenders[first..].iter().chain(&contenders[..first])
}

/// Makes tables, publications and a slot for each plugin, writes the changes, and gives the
/// position after them.
///
/// # Errors
///
/// What the server refused.
pub async fn prepare(
    client: &Client,
    workload: &Workload,
    plugins: &[&str],
) -> anyhow::Result<Lsn> {
    client.batch_execute(&workload.tables).await?;
    let everything = format!("CREATE PUBLICATION {EVERYTHING} FOR ALL TABLES");
    client.batch_execute(&everything).await?;
    if let Some(table) = workload.only_table {
        let wanted = format!("CREATE PUBLICATION {WANTED} FOR TABLE {table}");
        client.batch_execute(&wanted).await?;
    }
    for statement in &workload.before {
        client.batch_execute(statement).await?;
    }
    for plugin in plugins {
        let slot = slot_name(&workload.name, plugin);
        client
            .execute(
                "SELECT pg_create_logical_replication_slot($1, $2)",
                &[&slot, plugin],
            )
            .await
            .with_context(|| format!("make a slot with {plugin}"))?;
    }
    for statement in &workload.statements {
        client.batch_execute(statement).await?;
    }
    let row = client
        .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
        .await?;
    Ok(row.get::<_, &str>(0).parse()?)
}
