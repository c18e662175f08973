use std::time::{Duration, Instant};

use super::Reading;
use crate::{delivery::Held, phase::Phase};

/// A stream in which nothing is confirmed for so long, though something should be, does not move.
/// The relay itself gives the broker longer (`--confirm-timeout`) before it reconnects.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Silence of PostgreSQL after which the stream does not count as moving. The relay asks for a sign
/// of life earlier; while it bears a longer silence of a busy server, nothing moves either.
const SILENT_AFTER: Duration = Duration::from_secs(25);

/// Whether the relay does what it is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The stream moves, or the relay stands by to take over.
    Ready(String),
    /// It does not; why.
    NotReady(String),
}

impl Readiness {
    /// What the last posts say at the time `now`.
    pub fn of(reading: &Reading, now: Instant) -> Self {
        match reading.phase {
            Phase::Standby => Self::Ready("standby: another relay has the slot".to_owned()),
            Phase::Connecting => Self::NotReady("connecting: the log says to what".to_owned()),
            Phase::Stopping => Self::NotReady("stopping".to_owned()),
            Phase::Streaming => of_stream(reading, now),
        }
    }

    /// Whether the relay is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

fn of_stream(reading: &Reading, now: Instant) -> Readiness {
    let Some((flow, posted)) = reading.flow else {
        return Readiness::NotReady("connecting: nothing has come yet".to_owned());
    };
    let since = now.saturating_duration_since(posted);
    let (stalled, silent) = (flow.sink_silent + since, flow.server_silent + since);
    let why = match () {
        () if flow.blocked => "blocked: the broker takes no events (resource alarm)".to_owned(),
        () if flow.in_flight > 0 && stalled > STALLED_AFTER => {
            let (seconds, held) = (stalled.as_secs(), flow.held);
            format!("stalled: no confirm for {seconds} s; the position is held back by {held}")
        }
        () if silent > SILENT_AFTER => {
            format!("silent: nothing from PostgreSQL for {} s", silent.as_secs())
        }
        () if reading.failed_at.is_some() => {
            "recovering: nothing has moved since the last failure".to_owned()
        }
        () if flow.held == Held::Nothing => {
            return Readiness::Ready("streaming: everything is confirmed".to_owned());
        }
        () => {
            let (held, seconds) = (flow.held, flow.held_for.as_secs());
            let says = format!("streaming: the position is held back by {held}, for {seconds} s");
            return Readiness::Ready(says);
        }
    };
    Readiness::NotReady(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Flow;

    fn check(flow: Flow, failed_at: Option<u64>, expected: &str) {
        let posted = Instant::now();
        let reading = Reading {
            phase: Phase::Streaming,
            flow: Some((flow, posted)),
            failed_at,
            ..Reading::default()
        };
        let said = match Readiness::of(&reading, posted + Duration::from_secs(1)) {
            Readiness::Ready(said) => said,
            Readiness::NotReady(why) => format!("not {why}"),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    fn flow(in_flight: u64, sink_silent: u64, server_silent: u64) -> Flow {
        Flow {
            in_flight,
            held: match in_flight {
                0 => Held::Nothing,
                messages => Held::Unconfirmed(messages),
            },
            held_for: Duration::from_secs(sink_silent),
            sink_silent: Duration::from_secs(sink_silent),
            server_silent: Duration::from_secs(server_silent),
            ..Flow::default()
        }
    }

    #[test]
    fn a_stream_is_ready_while_it_moves() {
        check(flow(0, 0, 20), None, "streaming: everything");
        check(
            flow(5, 8, 0),
            None,
            "streaming: the position is held back by 5 messages without a confirm, for 8 s",
        );
    }

    #[test]
    fn a_stream_that_does_not_move_is_not_ready() {
        check(
            flow(5, 10, 0),
            None,
            "not stalled: no confirm for 11 s; the position is held back by 5",
        );
        check(flow(0, 0, 25), None, "not silent");
        check(flow(0, 0, 0), Some(7), "not recovering");
        let blocked = Flow {
            blocked: true,
            ..flow(0, 0, 0)
        };
        check(blocked, None, "not blocked");
    }

    #[test]
    fn a_standby_is_ready_and_a_relay_that_connects_is_not() {
        let of = |phase| {
            let reading = Reading {
                phase,
                ..Reading::default()
            };
            Readiness::of(&reading, Instant::now()).is_ready()
        };
        assert!(of(Phase::Standby));
        assert!(!of(Phase::Connecting) && !of(Phase::Streaming) && !of(Phase::Stopping));
    }
}
