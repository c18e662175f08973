use std::time::Duration;

use pgevents_proto::Lsn;

use super::{Failure, Flow};

/// Silence of the server after which it is asked for a sign of life, and after which it counts as
/// dead.
const ASK_AFTER: Duration = Duration::from_secs(10);
const SILENT_AFTER: Duration = Duration::from_secs(20);

/// How often the latter is doubled at most: to more than ten minutes.
const DOUBLINGS: u32 = 5;

/// Silences of the server, over all sessions, without progress between them. A server can replay
/// what it neither sends nor counts for as long as it takes, and would start again with the next
/// session: so the relay waits twice as long each time, and gets through.
#[derive(Debug, Default)]
pub(super) struct Silences {
    /// What was acknowledged at the last one.
    at: Lsn,
    times: u32,
}

impl Silences {
    /// How long the server may be silent while this is what is acknowledged.
    fn limit(&self, acknowledged: Lsn) -> Duration {
        let times = match self.at == acknowledged {
            true => self.times,
            false => 0,
        };
        SILENT_AFTER * (1 << times.min(DOUBLINGS))
    }

    /// One more.
    fn count(&mut self, acknowledged: Lsn) {
        if self.at != acknowledged {
            *self = Self::default();
        }
        self.at = acknowledged;
        self.times = self.times.saturating_add(1);
    }
}

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

    /// Checks the server; `listening`: what it says is read; `silences`: those before, and what is
    /// `acknowledged` now. Returns whether to ask it.
    pub(super) fn server_silence(
        &mut self,
        now: Duration,
        listening: bool,
        silences: &mut Silences,
        acknowledged: Lsn,
    ) -> Result<bool, Failure> {
        if self.server.broken || !listening {
            self.server.broken = true;
            self.asked = false;
        }
        let silent = self.server.until(now);
        if silent > silences.limit(acknowledged) {
            silences.count(acknowledged);
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

    const HERE: Lsn = Lsn(7);

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
        let (mut patience, mut silences) = (Patience::since(at(0)), Silences::default());
        let asked: Vec<u64> = (1..=20)
            .filter(|second| {
                patience.server_silence(at(*second), true, &mut silences, HERE) == Ok(true)
            })
            .collect();
        assert_eq!(asked, [11]);
        let silent = Err(Failure::ServerSilent(at(21)));
        assert_eq!(
            patience.server_silence(at(21), true, &mut silences, HERE),
            silent
        );
    }

    #[test]
    fn a_server_that_nobody_listens_to_is_not_silent() {
        let (mut patience, mut silences) = (Patience::since(at(0)), Silences::default());
        assert_eq!(
            patience.server_silence(at(500), false, &mut silences, HERE),
            Ok(false)
        );
        assert_eq!(
            patience.server_silence(at(510), true, &mut silences, HERE),
            Ok(false)
        );
        patience.server_speaks();
        assert_eq!(
            patience.server_silence(at(530), true, &mut silences, HERE),
            Ok(false)
        );
        assert_eq!(
            patience.server_silence(at(541), true, &mut silences, HERE),
            Ok(true)
        );
    }

    #[test]
    fn silence_is_borne_longer_each_time_until_something_is_acknowledged() {
        let mut silences = Silences::default();
        let mut lasts = |acknowledged: Lsn| {
            let mut patience = Patience::since(at(0));
            let mut last = 0;
            while patience
                .server_silence(at(last), true, &mut silences, acknowledged)
                .is_ok()
            {
                last += 1;
            }
            last
        };
        assert_eq!([lasts(HERE), lasts(HERE), lasts(HERE)], [21, 41, 81]);
        assert_eq!([lasts(Lsn(8)), lasts(Lsn(8))], [21, 41]);
        let many: Vec<u64> = (0..9).map(|_| lasts(HERE)).collect();
        assert_eq!(many[6..], [641, 641, 641]);
    }
}
