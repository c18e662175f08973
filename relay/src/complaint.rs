//! What goes wrong again and again is said once, and then only now and then.

use std::time::{Duration, Instant};

/// Pause between two lines that say the same.
const PAUSE: Duration = Duration::from_secs(30);

/// Remembers what was said last.
#[derive(Debug, Default)]
pub struct Complaints {
    last: Option<(String, Instant)>,
    kept_back: u32,
}

impl Complaints {
    /// How many times it has happened since it was said last, this one included, if it is to be said
    /// now: it is another complaint than the last one, or the pause is over. Otherwise it is counted.
    pub fn due(&mut self, complaint: &str, now: Instant) -> Option<u32> {
        match &self.last {
            Some((said, at)) if said == complaint && now < *at + PAUSE => {
                self.kept_back += 1;
                None
            }
            Some((said, _)) if said == complaint => {
                self.last = Some((complaint.to_owned(), now));
                Some(std::mem::take(&mut self.kept_back) + 1)
            }
            _ => {
                self.last = Some((complaint.to_owned(), now));
                self.kept_back = 0;
                Some(1)
            }
        }
    }

    /// It is over: the next complaint is said at once.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_pause_and_counted() {
        let (mut complaints, begun) = (Complaints::default(), Instant::now());
        let mut at = |seconds| complaints.due("no queue", begun + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(29), None);
        assert_eq!(at(30), Some(3));
        assert_eq!(at(31), None);
    }

    #[test]
    fn another_one_is_said_at_once_and_so_is_one_after_the_end() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.due("no server", now), Some(1));
        assert_eq!(complaints.due("no server", now), None);
        assert_eq!(complaints.due("no broker", now), Some(1));
        assert_eq!(complaints.due("no server", now), Some(1));
        complaints.forget();
        assert_eq!(complaints.due("no server", now), Some(1));
    }
}
