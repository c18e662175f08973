use std::time::Duration;

/// A promise that was broken. Each ends the campaign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An event came before its predecessor, so that a consumer was shown a gap.
    #[error("gap: event {found} arrived when {last} was the last without one missing")]
    Gap {
        /// Highest number with everything below it.
        last: u64,
        /// What came.
        found: u64,
    },
    /// A repeated event has another body or another `message_id` than before.
    #[error("event {number} came again and was another one")]
    Changed {
        /// Its number.
        number: u64,
    },
    /// An event is not what the second slot decodes.
    #[error("event {number} is not what a second slot decodes")]
    Unexpected {
        /// Its number.
        number: u64,
    },
    /// Writer, second slot and `test_decoding` do not agree on what was committed.
    #[error("the oracles disagree: {found} after {last}")]
    Oracle {
        /// What was known.
        last: u64,
        /// What contradicts it.
        found: u64,
    },
    /// Committed events never arrived.
    #[error("lost: {written} events were committed and only {last} arrived")]
    Lost {
        /// Highest number that arrived.
        last: u64,
        /// Highest number that was committed.
        written: u64,
    },
    /// The slot's position is past events that the broker does not have.
    #[error(
        "acknowledged early: the slot stands behind event {acknowledged}, and the queue had only {last}"
    )]
    Early {
        /// Highest number that was in the queue.
        last: u64,
        /// Highest number before the slot's position.
        acknowledged: u64,
    },
    /// Two events have one `message_id`.
    #[error("two events share a message_id")]
    SharedId,
    /// A message is no event of the load.
    #[error("a message without a number: {0}")]
    Foreign(String),
    /// More repeats than window, open transaction and last report explain.
    #[error("{duplicates} events came again after one fault; {bound} are explained")]
    Repeats {
        /// Repeats since the fault.
        duplicates: u64,
        /// Window, largest transaction and what arrived since the last report, for each session.
        bound: u64,
    },
    /// No new event arrived.
    #[error("stuck: no new event {} s after the fault was over", .0.as_secs())]
    Stuck(Duration),
    /// The relay took too long to notice that a peer had fallen silent.
    #[error("a silent peer was noticed after {} s", .0.as_secs())]
    Unnoticed(Duration),
    /// The relay ended, or ended otherwise than it should.
    #[error("the relay ended with {found}; expected: {expected}")]
    Ended {
        /// How it ended.
        found: String,
        /// What the fault asks for.
        expected: String,
    },
    /// The relay did not say what an operator has to know.
    #[error("the relay ended or did not log {text:?}")]
    Silent {
        /// What it should have logged.
        text: &'static str,
    },
    /// A server process died that nobody had killed.
    #[error("PostgreSQL: {crashes} crashes in its log; the campaign made {made}")]
    Crashed {
        /// Crashes in the server's log.
        crashes: u64,
        /// Those that the campaign made.
        made: u64,
    },
    /// The relay took more memory than it may.
    #[error("the relay took {} MiB of memory, more than {} MiB", .peak >> 20, .cap >> 20)]
    Memory {
        /// Peak resident bytes.
        peak: u64,
        /// What it may take, in bytes.
        cap: u64,
    },
}
