//! How the cost of decoding grows with rows, tables and columns: pgevents beside the floor.

mod curve;
mod report;

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;

use self::curve::{Curve, Point};
use crate::decode::{Contender, FLOOR, Measurement, PGEVENTS, Reader, prepare};
use crate::run_folder::RunFolder;
use crate::{floor, machine, server};

/// CPU time of the walsenders at a point, round by round.
#[derive(Clone, Debug, Default)]
struct Cost {
    floor: Vec<Duration>,
    pgevents: Vec<Duration>,
}

/// A curve as far as it has been measured.
#[derive(Clone, Debug)]
struct Measured {
    curve: Curve,
    costs: Vec<Cost>,
}

/// Measures the curves whose horizontal axis contains `only`, and writes raw numbers, summary and
/// plot into the folder `scale` of `out`.
///
/// # Errors
///
/// When a server does not start or refuses something, or a file cannot be written.
pub async fn run(rounds: u32, only: Option<&str>, out: &Path) -> anyhow::Result<()> {
    let folder = RunFolder::make(out, "scale")?;
    let postgres = server::start().await?;
    let mut facts = machine::describe(postgres.installation());
    facts.push(Reader::Busy.describe().into());
    let mut all: Vec<Measured> = Vec::new();
    let wanted = |curve: &Curve| only.is_none_or(|part| curve.grows.contains(part));
    for curve in Curve::all().into_iter().filter(wanted) {
        all.push(Measured {
            curve: curve.clone(),
            costs: Vec::new(),
        });
        for point in &curve.points {
            let cost = measure(&postgres, point, rounds).await?;
            println!("{}", report::line(&curve, point, &cost));
            if let Some(measured) = all.last_mut() {
                measured.costs.push(cost);
            }
        }
        report::write(&folder, &facts, &all, rounds)?;
    }
    println!("{}", report::summary(&facts, &all, rounds));
    println!(
        "raw numbers, summary and plot: {}",
        folder.file("").display()
    );
    Ok(())
}

async fn measure(
    postgres: &pgevents_tests::lab::Postgres,
    point: &Point,
    rounds: u32,
) -> anyhow::Result<Cost> {
    let database = point.workload.name.as_str();
    let client = server::new_database(postgres, database).await?;
    let end = prepare(&client, &point.workload, &[floor::NAME, PGEVENTS]).await?;
    let mut cost = Cost::default();
    for _ in 0..rounds {
        for (name, plugin, times) in [
            (FLOOR, floor::NAME, &mut cost.floor),
            (PGEVENTS, PGEVENTS, &mut cost.pgevents),
        ] {
            let contender = Contender {
                name,
                plugin,
                options: Vec::new(),
            };
            let address = server::address(postgres, database);
            let taking =
                spawn_blocking(move || Measurement::take(&address, &contender, end, Reader::Busy));
            times.push(taking.await??.cpu);
        }
    }
    drop(client);
    server::drop_database(postgres, database).await?;
    Ok(cost)
}
