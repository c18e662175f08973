use std::time::{Duration, Instant};

use super::{Reading, State};

/// A stream in which nothing is confirmed for so long, though something should be, does not move.
/// The relay itself gives the broker longer (`--confirm-timeout`) before it reconnects.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Silence of PostgreSQL after which the stream does not count as moving; half of it is when the
/// relay asks for a sign of life.
const SILENT_AFTER: Duration = Duration::from_secs(25);

/// Whether the relay does what it is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The stream moves, or the relay stands by to take over.
    Ready(&'static str),
    /// It does not; why.
    NotReady(String),
}

impl Readiness {
    /// What the last posts say at the time `now`.
    pub fn of(reading: &Reading, now: Instant) -> Self {
        match reading.state {
            State::Standby => Self::Ready("standby: another relay has the slot"),
            State::Connecting => Self::NotReady("connecting: the log says to what".to_owned()),
            State::Stopping => Self::NotReady("stopping".to_owned()),
            State::Streaming => of_stream(reading, now),
        }
    }

    /// Whether the relay is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

fn of_stream(reading: &Reading, now: Instant) -> Readiness {
    let Some(flow) = reading.flow else {
        return Readiness::NotReady("connecting: nothing has come yet".to_owned());
    };
    let silent = now.saturating_duration_since(flow.heard);
    let stalled = now.saturating_duration_since(flow.arrived);
    if flow.blocked {
        let reason = "blocked: the broker takes no events (resource alarm)";
        return Readiness::NotReady(reason.to_owned());
    }
    if flow.in_flight > 0 && stalled > STALLED_AFTER {
        let seconds = stalled.as_secs();
        return Readiness::NotReady(format!("stalled: no confirm for {seconds} s"));
    }
    if silent > SILENT_AFTER {
        let seconds = silent.as_secs();
        return Readiness::NotReady(format!("silent: nothing from PostgreSQL for {seconds} s"));
    }
    match flow.in_flight {
        0 => Readiness::Ready("streaming: everything is confirmed"),
        _ => Readiness::Ready("streaming"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Flow;

    fn check(in_flight: u64, blocked: bool, heard: u64, arrived: u64, expected: &str) {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let ago = |seconds| now - Duration::from_secs(seconds);
        let reading = Reading {
            state: State::Streaming,
            flow: Some(Flow {
                in_flight,
                in_flight_bytes: in_flight,
                blocked,
                heard: ago(heard),
                arrived: ago(arrived),
                oldest_commit: None,
            }),
            ..Reading::default()
        };
        let said = match Readiness::of(&reading, now) {
            Readiness::Ready(said) => said.to_owned(),
            Readiness::NotReady(why) => format!("not {why}"),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn a_stream_is_ready_while_it_moves() {
        check(0, false, 20, 90, "streaming: everything");
        check(5, false, 1, 9, "streaming");
    }

    #[test]
    fn a_stream_that_does_not_move_is_not_ready() {
        check(5, false, 1, 11, "not stalled: no confirm for 11 s");
        check(0, false, 26, 0, "not silent");
        check(0, true, 0, 0, "not blocked");
    }

    #[test]
    fn a_standby_is_ready_and_a_relay_that_connects_is_not() {
        let of = |state| {
            let reading = Reading {
                state,
                ..Reading::default()
            };
            Readiness::of(&reading, Instant::now()).is_ready()
        };
        assert!(of(State::Standby));
        assert!(!of(State::Connecting) && !of(State::Streaming) && !of(State::Stopping));
    }
}
