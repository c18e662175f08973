use std::time::Duration;

use pgevents_proto::Lsn;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{ProducerError, Relay};
use crate::{
    health,
    metrics::State,
    position::{Gap, GapReason, Position},
    postgres::{PostgresError, Slot, Sql},
    walsender::System,
};

/// How often a relay in waiting looks whether the slot is free; the server does not tell.
pub(super) const SLOT_POLL: Duration = Duration::from_millis(500);

/// How soon it looks again at first, and twice as late each time: the server may be about to notice
/// that the last reader has died.
const FIRST_SLOT_POLL: Duration = Duration::from_millis(20);

/// Longest time that a server may take to answer; a peer that says nothing is as good as dead.
const ANSWER: Duration = Duration::from_secs(20);

/// Where a stream starts.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) position: Position,
    /// Whether the slot has just been made.
    pub(super) created: bool,
    /// What consumers have to be told first.
    pub(super) gap: Option<Gap>,
}

/// The slot when no other relay reads it.
#[derive(Debug)]
pub(super) struct Free {
    /// `None`: there is no slot.
    slot: Option<Slot>,
    /// Where it stood when it was last in other hands.
    others: Option<Lsn>,
}

/// Waits for an answer of PostgreSQL, but no longer than [`ANSWER`].
pub(super) async fn answered<T>(
    answer: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    match timeout(ANSWER, answer).await {
        Ok(outcome) => outcome,
        Err(_) => Err(PostgresError::silent(ANSWER)),
    }
}

impl Relay<'_> {
    /// Waits until no other relay reads the slot.
    pub(super) async fn free_slot(&self, sql: &Sql<'_>) -> Result<Free, PostgresError> {
        let name = &self.config.slot;
        let (mut others, mut waiting) = (None, false);
        let mut poll = FIRST_SLOT_POLL;
        // Standing by is work too.
        let _working = health::working();
        loop {
            let slot = answered(Slot::find(sql, name)).await?;
            let Some((slot, pid)) = slot.and_then(|slot| Some((slot, slot.active_pid?))) else {
                return Ok(Free { slot, others });
            };
            // The server may not have noticed yet that the last session of this relay has ended.
            if Some(pid) != self.walsender {
                others = Some(slot.confirmed_flush);
            }
            if !waiting {
                self.board.enter(State::Standby);
                warn!(slot = name, pid, "slot is in use: waiting until it is free");
                waiting = true;
            }
            sleep(poll).await;
            poll = (poll * 2).min(SLOT_POLL);
        }
    }

    /// Decides where to go on, makes the slot if there was none yet, and brings the decision to the
    /// state file. `wal_end` is where the server's WAL ends.
    pub(super) async fn start(
        &self,
        sql: &Sql<'_>,
        free: Free,
        system: System,
        wal_end: Lsn,
    ) -> Result<Start, ProducerError> {
        let config = self.config;
        let position = |lsn| Position::new(&config.slot, &config.postgres.database, system, lsn);
        let recorded = match &config.state_file {
            Some(file) => file.read(&config.slot, &config.postgres.database)?,
            None => None,
        };
        let Free { slot, others } = free;
        let known = self.known(recorded, others.is_some());
        let before = known.clone().or(others.map(position));
        let (slot, missing) = match (slot, before) {
            (Some(slot), _) => (slot, None),
            (None, None) => (self.create_slot(sql).await?, None),
            (None, Some(before)) => {
                let gap = Gap::missing(before, system);
                if !config.accept_gap {
                    return Err(ProducerError::Gap(gap));
                }
                (self.create_slot(sql).await?, Some(gap))
            }
        };
        let found = position(slot.confirmed_flush);
        let gap = match (missing, known) {
            (Some(missing), _) => Err(missing.up_to(found.acknowledged)),
            (None, None) => Ok(found.acknowledged),
            (None, Some(known)) => match known.resume(&found, wal_end) {
                Err(gap) if gap.reason == GapReason::Moved && others.is_some() => {
                    info!(at = %found.acknowledged, "another relay has moved the slot on");
                    Ok(found.acknowledged)
                }
                outcome => outcome,
            },
        };
        let (from, gap) = match gap {
            Ok(from) => (position(from), None),
            Err(gap) if config.accept_gap => {
                warn!("{gap}: accepted, going on at {}", found.acknowledged);
                (found, config.gap_record.then_some(gap))
            }
            Err(gap) => return Err(ProducerError::Gap(gap)),
        };
        // A gap that consumers have to be told of is not over before they are.
        if let (Some(file), None) = (&config.state_file, &gap) {
            file.save(from.clone()).await?;
        }
        Ok(Start {
            position: from,
            created: slot.created,
            gap,
        })
    }

    /// Makes the slot, but not if its position could not be kept.
    async fn create_slot(&self, sql: &Sql<'_>) -> Result<Slot, ProducerError> {
        if let Some(file) = &self.config.state_file {
            file.probe()?;
        }
        Ok(Slot::create(sql, &self.config.slot, false).await?)
    }

    /// What is known of the position: the state file, which another relay may have written, and what
    /// this process remembers if nobody else has had the slot since.
    fn known(&self, recorded: Option<Position>, others: bool) -> Option<Position> {
        let remembered = self.last.clone().filter(|_| !others);
        match (recorded, remembered) {
            (Some(recorded), Some(remembered)) => Some(remembered.or_further(recorded)),
            (recorded, remembered) => recorded.or(remembered),
        }
    }
}
