//! Whether this process has stood still: stopped, not scheduled, or in a machine that was paused.
//! It cannot have noticed, and others may have taken it for dead.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Looks at the clock again and again; a long time between two looks is a standstill.
#[derive(Clone, Copy, Debug)]
pub struct Standstill {
    longest: Duration,
    last: Duration,
}

impl Standstill {
    /// More than `longest` between two looks counts.
    pub fn of(longest: Duration) -> Self {
        Self {
            longest,
            last: now(),
        }
    }

    /// Looks; `Some`: the process has stood still for so long since the last time.
    pub fn look(&mut self) -> Option<Duration> {
        self.look_at(now())
    }

    fn look_at(&mut self, now: Duration) -> Option<Duration> {
        let passed = now.saturating_sub(self.last);
        self.last = now;
        (passed > self.longest).then_some(passed)
    }
}

/// Time since the machine started. Unlike the clock of `std`, this one goes on while the machine
/// sleeps.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_time_between_two_looks_is_a_standstill() {
        let mut watch = Standstill::of(Duration::from_secs(4));
        let start = watch.last;
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen = [4, 8, 13, 14].map(|second| watch.look_at(at(second)));
        assert_eq!(seen, [None, None, Some(Duration::from_secs(5)), None]);
        assert_eq!(Standstill::of(Duration::from_secs(60)).look(), None);
    }
}
