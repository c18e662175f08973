use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::Board;
use crate::postgres::{Postgres, PostgresError, SlotStatus, Sql};

/// How often the slot is looked at; Prometheus usually asks every 15 s.
const INTERVAL: Duration = Duration::from_secs(10);

/// Longest time for one look.
const PATIENCE: Duration = Duration::from_secs(5);

/// Posts what the server says of the slot for as long as the process lives, over an SQL connection
/// of its own: what the slot keeps matters most while the stream does not work.
///
/// A server that cannot be asked leaves no numbers behind; that it is away is the producer's to
/// say.
pub async fn watch_slot(config: Postgres, slot: String, board: Board) {
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut session: Option<Sql<'_>> = None;
    loop {
        tick.tick().await;
        let looked = timeout(PATIENCE, look(&config, &slot, &mut session)).await;
        match looked {
            Ok(Ok(status)) => board.slot(status),
            Ok(Err(_)) | Err(_) => {
                debug!(slot, "the slot cannot be looked at");
                board.slot(None);
                session = None;
            }
        }
    }
}

async fn look<'a>(
    config: &'a Postgres,
    slot: &str,
    session: &mut Option<Sql<'a>>,
) -> Result<Option<SlotStatus>, PostgresError> {
    let sql = match session {
        Some(sql) => sql,
        None => session.insert(Sql::connect(config).await?),
    };
    SlotStatus::of(sql, slot).await
}
