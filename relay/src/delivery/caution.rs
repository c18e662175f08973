/// How carefully messages are sent where an earlier one may be refused.
///
/// A message that no queue takes holds up everything behind it, but what is behind it may be on its
/// way already. If a queue is bound at that very moment, it gets the later messages without the
/// earlier one: a gap, closed only when all of it is sent again. So the first message of a session
/// goes alone, and behind it as many may be on their way as have arrived. After a refusal, what was
/// sent behind the first message without a confirmation goes one by one: a queue that is full now
/// and then has taken some of it, and would take some of it again each time.
#[derive(Debug, Default)]
pub(super) struct Caution {
    /// Messages of this session with smaller numbers were sent in the last one.
    doubtful: u64,
    /// Whether a message was refused in this session.
    refused: bool,
}

impl Caution {
    /// The session after this one. In this one `unconfirmed` is the number of the first message
    /// without a confirmation, with which the next one goes on, and `next` that of the next
    /// message.
    pub(super) fn next(&self, unconfirmed: u64, next: u64) -> Self {
        let sent = if self.refused { next } else { 0 };
        Self {
            doubtful: sent.max(self.doubtful).saturating_sub(unconfirmed),
            refused: false,
        }
    }

    /// A message was refused.
    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// Whether the message with this number may go while so many are on their way.
    pub(super) fn allows(&self, number: u64, in_flight: u64) -> bool {
        let arrived = number.saturating_sub(in_flight);
        in_flight <= arrived.saturating_sub(self.doubtful)
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
        let sizes = [1, 2, 4, 8, 16, 32, 64, 100];
        assert_eq!(rounds(&Caution::default(), 8), sizes);
    }

    #[test]
    fn after_a_refusal_what_was_sent_goes_one_by_one() {
        let mut caution = Caution::default();
        caution.refused();
        assert_eq!(
            rounds(&caution, 3),
            [1, 2, 4],
            "its own session is as it was"
        );
        // 100 is without an answer, and 102 was the last that was sent.
        let mut next = caution.next(100, 103);
        assert_eq!(rounds(&next, 7), [1, 1, 1, 1, 2, 4, 8]);
        // The first of them has arrived, then the connection breaks.
        assert_eq!(rounds(&next.next(1, 2), 6), [1, 1, 1, 2, 4, 8]);
        // Or the second is refused too.
        next.refused();
        assert_eq!(rounds(&next.next(1, 2), 6), [1, 1, 1, 2, 4, 8]);
        assert_eq!(rounds(&next.next(4, 4), 4), [1, 2, 4, 8]);
    }
}
