/// How carefully messages are sent where an earlier one may be refused.
///
/// A message that no queue takes holds up everything behind it, but what is behind it may be on its
/// way already. If a queue is bound at that very moment, it gets the later messages without the
/// earlier one: a gap, closed only when all of it is sent again. So the first message of a session,
/// and after a refusal the first that may have been refused, goes alone; behind it as many may be
/// on their way as have arrived.
#[derive(Debug, Default)]
pub(super) struct Caution {
    /// Number of the first message that the last session may have seen refused.
    doubtful: u64,
    /// The same for the next session, if this one ends with a refusal.
    next: u64,
}

impl Caution {
    /// A session starts, with numbers from 0 again.
    pub(super) fn start(&mut self) {
        self.doubtful = std::mem::take(&mut self.next);
    }

    /// A message was refused. `unconfirmed` is the number of the first without a confirmation; the
    /// next session sends again from the message with the number `first` on.
    pub(super) fn refused(&mut self, unconfirmed: u64, first: u64) {
        self.next = unconfirmed.saturating_sub(first);
    }

    /// Whether the message with this number may go while so many are on their way.
    pub(super) fn allows(&self, number: u64, in_flight: u64) -> bool {
        let arrived = number.saturating_sub(in_flight);
        let goes = |start: u64| number < start || in_flight <= arrived.saturating_sub(start);
        goes(0) && goes(self.doubtful)
    }
}

#[cfg(test)]
mod tests {
    use super::Caution;

    /// Sends all that may go, then has all of it arrive, and so on: how many went at a time.
    fn rounds(caution: &Caution, times: usize) -> Vec<u64> {
        let mut number = 0;
        let mut sizes = Vec::new();
        for _ in 0..times {
            let mut in_flight = 0;
            while in_flight < 100 && caution.allows(number, in_flight) {
                number += 1;
                in_flight += 1;
            }
            sizes.push(in_flight);
        }
        sizes
    }

    #[test]
    fn the_first_message_of_a_session_goes_alone() {
        let mut caution = Caution::default();
        caution.start();
        assert_eq!(rounds(&caution, 8), [1, 2, 4, 8, 16, 32, 64, 100]);
    }

    #[test]
    fn after_a_refusal_the_first_doubtful_message_goes_alone_too_once() {
        let mut caution = Caution::default();
        caution.start();
        // 100 was the first message behind the acknowledged position, and 110 is without an answer.
        caution.refused(110, 100);
        assert_eq!(
            rounds(&caution, 4),
            [1, 2, 4, 8],
            "the session that fails is as it was"
        );
        caution.start();
        assert_eq!(rounds(&caution, 7), [1, 2, 4, 3, 1, 2, 4]);
        caution.start();
        assert_eq!(rounds(&caution, 4), [1, 2, 4, 8]);
    }
}
