use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pgevents_proto::Hello;

use crate::{
    delivery::{Counts, Flow},
    phase::Phase,
    postgres::SlotStatus,
};

/// A new session in which nothing has to move counts as working after so long. Events that came
/// again have failed again by then.
const SETTLED: Duration = Duration::from_secs(3);

/// Which side ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// PostgreSQL.
    Postgres,
    /// The broker, or whatever the sink is.
    Broker,
}

/// What the loop posts of its stream.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Numbers that only grow.
    pub counts: &'a Counts,
    /// Commit of the oldest transaction that is not acknowledged, in microseconds since 1970-01-01
    /// 00:00 UTC; `None`: there is none.
    pub oldest_commit: Option<i64>,
    /// What the plugin said of itself; `None` before its first frame.
    pub plugin: Option<&'a Hello>,
}

/// Everything that monitoring may know, as of the last post.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What the relay is doing.
    pub phase: Phase,
    /// Numbers that only grow, since the start of the process.
    pub counts: Counts,
    /// Sessions that PostgreSQL's side ended.
    pub postgres_failures: u64,
    /// Sessions that the broker's side ended.
    pub broker_failures: u64,
    /// Events confirmed when the last session failed; `None`: something has moved since.
    pub failed_at: Option<u64>,
    /// The stream, and when it was posted; `None` before the first one.
    pub flow: Option<(Flow, Instant)>,
    /// Commit of the oldest transaction that came and is not acknowledged, in microseconds since
    /// 1970-01-01 00:00 UTC; `None`: everything that came is acknowledged.
    pub oldest_commit: Option<i64>,
    /// When everything that had come was acknowledged, in microseconds since 1970-01-01 00:00 UTC;
    /// `None`: never yet.
    pub caught_up: Option<i64>,
    /// The slot as the server sees it; `None`: not looked at, or it could not be.
    pub slot: Option<SlotStatus>,
    /// What the plugin said of itself; `None` before its first frame.
    pub plugin: Option<Hello>,
}

impl Reading {
    /// Seconds between now and the commit of the oldest transaction that is not acknowledged. While
    /// nothing is known to be waiting: 0 if the relay streams, otherwise the time since it last was
    /// known. `None` where it was never known, and as standby, when another relay does the work.
    pub fn lag_seconds(&self, now: i64) -> Option<f64> {
        let since = match (self.phase, self.oldest_commit) {
            (Phase::Standby, _) => return None,
            (_, Some(commit)) => commit,
            (Phase::Streaming, None) => return Some(0.0),
            (Phase::Connecting | Phase::Stopping, None) => self.caught_up?,
        };
        Some(now.saturating_sub(since).max(0) as f64 / 1e6)
    }
}

/// Where the loop posts and monitoring reads.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Reading>>);

impl Board {
    /// The relay does something else from now on.
    pub fn enter(&self, phase: Phase) {
        let mut reading = self.lock();
        reading.phase = phase;
        if let Phase::Connecting | Phase::Standby = phase {
            // The connection is gone, and what was on its way with it; the oldest transaction still
            // waits.
            reading.flow = None;
        }
    }

    /// A session has failed; what it has not got acknowledged goes on waiting.
    pub fn failed(&self, side: Side, post: Post<'_>) {
        let counts = post.counts;
        let mut reading = self.lock();
        reading.counts = *counts;
        reading.oldest_commit = older(reading.oldest_commit, post.oldest_commit);
        reading.failed_at = Some(counts.confirmed);
        match side {
            Side::Postgres => reading.postgres_failures += 1,
            Side::Broker => reading.broker_failures += 1,
        }
    }

    /// How the stream flows now.
    pub fn flows(&self, flow: Flow, post: Post<'_>) {
        let (oldest_commit, counts) = (post.oldest_commit, *post.counts);
        let mut reading = self.lock();
        reading.counts = counts;
        reading.flow = Some((flow, Instant::now()));
        if reading.plugin.as_ref() != post.plugin {
            reading.plugin = post.plugin.cloned();
        }
        let idle = flow.in_flight == 0 && flow.running >= SETTLED;
        if idle || reading.failed_at < Some(counts.confirmed) {
            reading.failed_at = None;
        }
        if reading.failed_at.is_some() {
            // What failed before has not come again yet.
            reading.oldest_commit = older(reading.oldest_commit, oldest_commit);
            return;
        }
        reading.oldest_commit = oldest_commit;
        if oldest_commit.is_none() {
            reading.caught_up = Some(unix_micros());
        }
    }

    /// The slot as the server sees it.
    pub fn slot(&self, slot: Option<SlotStatus>) {
        self.lock().slot = slot;
    }

    /// The last posts.
    pub fn read(&self) -> Reading {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn older(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// The time in microseconds since 1970-01-01 00:00 UTC.
pub(super) fn unix_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Counts = Counts {
        sessions: 0,
        received_bytes: 0,
        transactions: 0,
        published: 0,
        published_bytes: 0,
        confirmed: 0,
        returned: 0,
        parked: 0,
        dropped: 0,
        omitted: 0,
        nacked: 0,
        rows_filtered: 0,
        rows_unchanged: 0,
        received: pgevents_proto::Lsn(0),
    };

    const POST: Post<'_> = Post {
        counts: &NOTHING,
        oldest_commit: None,
        plugin: None,
    };

    fn reading(phase: Phase, oldest_commit: Option<i64>, caught_up: Option<i64>) -> Reading {
        Reading {
            phase,
            oldest_commit,
            caught_up,
            ..Reading::default()
        }
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_waiting_transaction() {
        let lag = |phase, oldest| reading(phase, oldest, None).lag_seconds(5_000_000);
        assert_eq!(lag(Phase::Streaming, Some(2_000_000)), Some(3.0));
        assert_eq!(lag(Phase::Connecting, Some(2_000_000)), Some(3.0));
        assert_eq!(lag(Phase::Streaming, Some(6_000_000)), Some(0.0));
        assert_eq!(lag(Phase::Streaming, None), Some(0.0));
        assert_eq!(lag(Phase::Standby, Some(2_000_000)), None);
    }

    #[test]
    fn the_lag_grows_while_there_is_no_connection() {
        let lag = |caught_up| reading(Phase::Connecting, None, caught_up).lag_seconds(9_000_000);
        assert_eq!(lag(None), None);
        assert_eq!(lag(Some(1_000_000)), Some(8.0));
    }

    #[test]
    fn a_relay_has_recovered_when_something_moves_or_nothing_has_to() {
        let board = Board::default();
        let after = |running| Flow {
            running,
            ..Flow::default()
        };
        board.lock().oldest_commit = Some(7);
        board.failed(Side::Broker, POST);
        board.enter(Phase::Streaming);
        board.flows(after(Duration::from_secs(1)), POST);
        let reading = board.read();
        assert_eq!(
            (reading.failed_at, reading.oldest_commit),
            (Some(0), Some(7))
        );
        assert_eq!(reading.caught_up, None);
        board.flows(after(SETTLED), POST);
        let reading = board.read();
        assert_eq!((reading.failed_at, reading.oldest_commit), (None, None));
        assert_eq!((reading.broker_failures, reading.postgres_failures), (1, 0));
        assert!(reading.caught_up.is_some());
    }

    #[test]
    fn nothing_is_on_its_way_without_a_connection() {
        let board = Board::default();
        board.enter(Phase::Streaming);
        board.flows(Flow::default(), POST);
        assert!(board.read().flow.is_some());
        board.enter(Phase::Connecting);
        assert_eq!(board.read().flow, None);
    }
}
