//! What happens again and again is said once, and then only now and then.

use std::{
    ops::Add,
    time::{Duration, Instant},
};

/// Lets something be said once in a pause; `T` is a point in time.
#[derive(Clone, Copy, Debug)]
pub struct Throttle<T> {
    pause: Duration,
    next: Option<T>,
}

impl<T: Copy + Ord + Add<Duration, Output = T>> Throttle<T> {
    /// Nothing has been said yet.
    pub const fn new(pause: Duration) -> Self {
        Self { pause, next: None }
    }

    /// Whether it may be said now.
    pub fn is_due(&self, now: T) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// It is said now.
    pub fn said(&mut self, now: T) {
        self.next = Some(now + self.pause);
    }
}

/// Pause between two lines about the same failure.
const PAUSE: Duration = Duration::from_secs(30);

/// Failures, of which one may come again and again.
#[derive(Debug, Default)]
pub struct Failures {
    /// The last one that was said, when it may be said again, and how often it was kept back.
    last: Option<(String, Throttle<Instant>, u32)>,
}

impl Failures {
    /// A failure happens. Returns how many times it has since it was said last, this one included,
    /// if it is to be said now: it is another one than the last, or the pause is over.
    pub fn due(&mut self, failure: &str, now: Instant) -> Option<u32> {
        if let Some((said, throttle, kept_back)) = &mut self.last
            && said == failure
        {
            *kept_back += 1;
            if !throttle.is_due(now) {
                return None;
            }
            throttle.said(now);
            return Some(std::mem::take(kept_back));
        }
        let mut throttle = Throttle::new(PAUSE);
        throttle.said(now);
        self.last = Some((failure.to_owned(), throttle, 0));
        Some(1)
    }

    /// It is over: the next failure is said at once.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_pause_and_counted() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        let mut at = |seconds| failures.due("no queue", begun + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(29), None);
        assert_eq!(at(30), Some(3));
        assert_eq!(at(31), None);
    }

    #[test]
    fn another_one_is_said_at_once_and_so_is_one_after_the_end() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(failures.due("no server", now), Some(1));
        assert_eq!(failures.due("no server", now), None);
        assert_eq!(failures.due("no broker", now), Some(1));
        assert_eq!(failures.due("no server", now), Some(1));
        failures.forget();
        assert_eq!(failures.due("no server", now), Some(1));
    }
}
