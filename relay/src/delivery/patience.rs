use std::time::Duration;

use super::{Failure, Flow};

/// Silence of the server after which it is asked for a sign of life, and after which it counts as
/// dead.
const ASK_AFTER: Duration = Duration::from_secs(10);
const SILENT_AFTER: Duration = Duration::from_secs(20);

/// How long each side has been silent. Signs of life are only noted; the ticks put a time to them,
/// so that no event costs a look at a clock.
#[derive(Debug, Default)]
pub(super) struct Patience {
    sink: Silence,
    server: Silence,
    blocked: bool,
    asked: bool,
}

/// Since when nothing has come from one side.
#[derive(Debug, Default)]
struct Silence {
    since: Duration,
    broken: bool,
}

impl Silence {
    /// How long it has lasted at `now`.
    fn until(&mut self, now: Duration) -> Duration {
        if std::mem::take(&mut self.broken) {
            self.since = now;
        }
        now.saturating_sub(self.since)
    }
}

impl Patience {
    /// Both sides have just spoken.
    pub(super) fn since(now: Duration) -> Self {
        let silence = || Silence {
            since: now,
            broken: false,
        };
        Self {
            sink: silence(),
            server: silence(),
            ..Self::default()
        }
    }

    /// The sink has confirmed something, or is asked for a confirm for the first time.
    pub(super) fn sink_moves(&mut self) {
        self.sink.broken = true;
    }

    /// Whether the sink has said that it will be silent.
    pub(super) fn sink_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// Something has come from the server.
    pub(super) fn server_speaks(&mut self) {
        self.server.broken = true;
    }

    /// How long both sides have been silent, as of the last tick.
    pub(super) fn flow(&self, now: Duration) -> Flow {
        Flow {
            blocked: self.blocked,
            sink_silent: now.saturating_sub(self.sink.since),
            server_silent: now.saturating_sub(self.server.since),
            ..Flow::default()
        }
    }

    /// Checks the sink; `due`: it owes a confirm.
    pub(super) fn sink_silence(
        &mut self,
        now: Duration,
        due: bool,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.sink.broken |= self.blocked || !due;
        match self.sink.until(now) > limit {
            true => Err(Failure::NoConfirm(limit)),
            false => Ok(()),
        }
    }

    /// Checks the server; `listening`: what it says is read. Returns whether to ask it.
    pub(super) fn server_silence(
        &mut self,
        now: Duration,
        listening: bool,
    ) -> Result<bool, Failure> {
        if self.server.broken || !listening {
            self.server.broken = true;
            self.asked = false;
        }
        let silent = self.server.until(now);
        if silent > SILENT_AFTER {
            return Err(Failure::ServerSilent(silent));
        }
        let ask = silent > ASK_AFTER && !self.asked;
        self.asked |= ask;
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_sink_that_owes_a_confirm_may_be_silent_for_the_limit() {
        let mut patience = Patience::since(at(100));
        assert_eq!(patience.sink_silence(at(130), true, LIMIT), Ok(()));
        let failure = Err(Failure::NoConfirm(LIMIT));
        assert_eq!(patience.sink_silence(at(131), true, LIMIT), failure);
        patience.sink_moves();
        assert_eq!(patience.sink_silence(at(140), true, LIMIT), Ok(()));
        assert_eq!(patience.sink_silence(at(170), true, LIMIT), Ok(()));
        assert_eq!(patience.sink_silence(at(171), true, LIMIT), failure);
    }

    #[test]
    fn a_sink_that_owes_nothing_or_is_blocked_may_be_silent_for_ever() {
        let mut patience = Patience::since(at(0));
        assert_eq!(patience.sink_silence(at(1_000), false, LIMIT), Ok(()));
        patience.sink_blocked(true);
        assert_eq!(patience.sink_silence(at(2_000), true, LIMIT), Ok(()));
        patience.sink_blocked(false);
        assert_eq!(patience.sink_silence(at(2_030), true, LIMIT), Ok(()));
        assert!(patience.sink_silence(at(2_031), true, LIMIT).is_err());
    }

    #[test]
    fn a_silent_server_is_asked_once_and_then_given_up() {
        let mut patience = Patience::since(at(0));
        let asked: Vec<u64> = (1..=20)
            .filter(|second| patience.server_silence(at(*second), true) == Ok(true))
            .collect();
        assert_eq!(asked, [11]);
        let silent = Err(Failure::ServerSilent(at(21)));
        assert_eq!(patience.server_silence(at(21), true), silent);
    }

    #[test]
    fn a_server_that_nobody_listens_to_is_not_silent() {
        let mut patience = Patience::since(at(0));
        assert_eq!(patience.server_silence(at(500), false), Ok(false));
        assert_eq!(patience.server_silence(at(510), true), Ok(false));
        patience.server_speaks();
        assert_eq!(patience.server_silence(at(530), true), Ok(false));
        assert_eq!(patience.server_silence(at(541), true), Ok(true));
    }
}
