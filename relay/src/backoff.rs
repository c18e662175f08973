//! Delays between attempts.

use std::time::Duration;

/// Delays between attempts to reach a server: the limit doubles from attempt to attempt, and the
/// delay is anywhere below it ("full jitter"), so that many relays do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    limit: Duration,
}

impl Backoff {
    /// Limit of the first delay.
    pub const FIRST: Duration = Duration::from_millis(100);
    /// The limit grows no further than this. A server that comes back is met within two seconds,
    /// however long it was away; an attempt costs it one connection.
    pub const LAST: Duration = Duration::from_secs(2);

    /// A sequence that starts at [`Backoff::FIRST`].
    pub fn new() -> Self {
        Self { limit: Self::FIRST }
    }

    /// Starts over, because something worked.
    pub fn reset(&mut self) {
        self.limit = Self::FIRST;
    }

    /// The next delay; `random` is in `0.0..1.0`. Never less than a tenth of the limit, so that a
    /// server that refuses at once is not asked in a tight loop.
    pub fn next(&mut self, random: f64) -> Duration {
        let delay = self.limit.mul_f64(0.1 + 0.9 * random.clamp(0.0, 1.0));
        self.limit = (self.limit * 2).min(Self::LAST);
        delay
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_doubles_up_to_two_seconds() {
        let mut backoff = Backoff::new();
        let limits: Vec<u128> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(limits, [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), Backoff::FIRST);
    }

    #[test]
    fn a_delay_is_never_nothing() {
        assert_eq!(Backoff::new().next(0.0), Duration::from_millis(10));
    }
}
