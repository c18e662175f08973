use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use pgevents_proto::Hello;

use crate::postgres::SlotStatus;

/// What the relay is doing. Each change is posted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It connects to both sides, for the first time or after a failure.
    #[default]
    Connecting,
    /// Another relay has the slot; this one waits to take over.
    Standby,
    /// It streams.
    Streaming,
    /// It was asked to stop and waits for the last confirms.
    Stopping,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Connecting,
        Self::Standby,
        Self::Streaming,
        Self::Stopping,
    ];

    /// The state in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::Streaming => "streaming",
            Self::Stopping => "stopping",
        }
    }
}

/// Numbers that only grow, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of frames that came from the plugin.
    pub received_bytes: u64,
    /// Transactions that came to their end, repeated ones included.
    pub transactions: u64,
    /// Events handed to the sink, repeated ones included.
    pub published: u64,
    /// Bytes of their bodies.
    pub published_bytes: u64,
    /// Events that have arrived.
    pub confirmed: u64,
    /// Events that no queue wanted, each attempt counted.
    pub returned: u64,
    /// Events that the broker refused, each attempt counted.
    pub nacked: u64,
    /// Rows that the plugin kept back by its options.
    pub rows_filtered: u64,
    /// Updates that changed nothing and that the plugin kept back.
    pub rows_unchanged: u64,
    /// Sessions that PostgreSQL's side ended.
    pub postgres_failures: u64,
    /// Sessions that the broker's side ended.
    pub broker_failures: u64,
}

/// How the stream flows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Events without a confirmation.
    pub in_flight: u64,
    /// Bytes of their bodies.
    pub in_flight_bytes: u64,
    /// Whether the broker says that it takes no events (a resource alarm).
    pub blocked: bool,
    /// When PostgreSQL was last heard.
    pub heard: Instant,
    /// When an event last arrived, or when there was last none on its way.
    pub arrived: Instant,
    /// Commit of the oldest transaction that came and is not acknowledged, in microseconds since
    /// 1970-01-01 00:00 UTC; `None`: everything that came is acknowledged.
    pub oldest_commit: Option<i64>,
}

/// Everything that monitoring may know, as of the last post.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What the relay is doing.
    pub state: State,
    /// Numbers that only grow.
    pub counters: Counters,
    /// The stream; `None` before the first one.
    pub flow: Option<Flow>,
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
        let since = match (self.state, self.flow.and_then(|flow| flow.oldest_commit)) {
            (State::Standby, _) => return None,
            (_, Some(commit)) => commit,
            (State::Streaming, None) => return Some(0.0),
            (State::Connecting | State::Stopping, None) => self.caught_up?,
        };
        Some(now.saturating_sub(since).max(0) as f64 / 1e6)
    }
}

/// Where the loop posts and monitoring reads.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Reading>>);

impl Board {
    /// The relay does something else from now on.
    pub fn enter(&self, state: State) {
        let mut reading = self.lock();
        reading.state = state;
        if let (State::Connecting | State::Standby, Some(flow)) = (state, &mut reading.flow) {
            // The connection is gone, and what was on its way with it; the oldest transaction still
            // waits.
            (flow.in_flight, flow.in_flight_bytes, flow.blocked) = (0, 0, false);
        }
    }

    /// How the stream flows now.
    pub fn flows(&self, counters: Counters, flow: Flow) {
        let mut reading = self.lock();
        reading.counters = counters;
        reading.flow = Some(flow);
        if flow.oldest_commit.is_none() {
            reading.caught_up = Some(unix_micros());
        }
    }

    /// The counters outside of a stream.
    pub fn counted(&self, counters: Counters) {
        self.lock().counters = counters;
    }

    /// What the plugin says of itself.
    pub fn plugin(&self, hello: &Hello) {
        self.lock().plugin = Some(hello.clone());
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

    fn flow(oldest_commit: Option<i64>) -> Flow {
        Flow {
            in_flight: 7,
            in_flight_bytes: 70,
            blocked: true,
            heard: Instant::now(),
            arrived: Instant::now(),
            oldest_commit,
        }
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_waiting_transaction() {
        let board = Board::default();
        assert_eq!(board.read().lag_seconds(5_000_000), None);
        board.enter(State::Streaming);
        board.flows(Counters::default(), flow(Some(2_000_000)));
        assert_eq!(board.read().lag_seconds(5_000_000), Some(3.0));
        board.flows(Counters::default(), flow(None));
        assert_eq!(board.read().lag_seconds(5_000_000), Some(0.0));
    }

    #[test]
    fn the_lag_grows_while_there_is_no_connection() {
        let board = Board::default();
        board.enter(State::Streaming);
        board.flows(Counters::default(), flow(None));
        board.enter(State::Connecting);
        let reading = board.read();
        let caught_up = reading.caught_up.expect("it streamed");
        assert_eq!(reading.lag_seconds(caught_up + 9_000_000), Some(9.0));
        board.enter(State::Standby);
        assert_eq!(board.read().lag_seconds(caught_up), None);
    }

    #[test]
    fn nothing_is_on_its_way_without_a_connection() {
        let board = Board::default();
        board.enter(State::Streaming);
        board.flows(Counters::default(), flow(Some(1)));
        board.enter(State::Connecting);
        let flow = board.read().flow.expect("it streamed");
        assert_eq!((flow.in_flight, flow.in_flight_bytes), (0, 0));
        assert_eq!((flow.blocked, flow.oldest_commit), (false, Some(1)));
    }
}
