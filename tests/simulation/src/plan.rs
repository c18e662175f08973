use std::time::Duration;

use pgevents_relay::delivery::{Policy, TooLarge, Unroutable};

use crate::dice::Dice;

/// What a seed decides over its whole run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Policy of the relay.
    pub policy: Policy,
    /// Largest body that the broker takes, in bytes.
    pub max_message_bytes: u64,
    /// Steps until everything heals.
    pub steps: u64,
    /// A fault comes once in so many steps.
    pub fault_once_in: u64,
    /// Bytes of text in the longest row.
    pub longest_text: u64,
    /// Whether the relay keeps its position in a file.
    pub state_file: bool,
    /// Whether the slot is there before the relay.
    pub slot_exists: bool,
}

impl Plan {
    /// The plan of a run.
    pub fn of(dice: &mut Dice) -> Self {
        let (window_messages, window_bytes) = (dice.number(1..16), dice.number(200..4_000));
        let unroutable = dice.pick(&[
            (3, Unroutable::Block),
            (2, Unroutable::Park),
            (1, Unroutable::Drop),
            (1, Unroutable::Stop),
        ]);
        let max_message_bytes = if dice.once_in(3) { 300 } else { 10_000 };
        let policy = Policy {
            window_messages,
            window_bytes,
            confirm_timeout: Duration::from_secs(30),
            unroutable,
            too_large: dice.pick(&[(3, TooLarge::Marker), (1, TooLarge::Stop)]),
        };
        Self {
            policy,
            max_message_bytes,
            steps: dice.number(50..600),
            fault_once_in: dice.number(10..120),
            longest_text: if dice.once_in(3) { 200 } else { 20 },
            state_file: dice.once_in(2),
            slot_exists: !dice.once_in(4),
        }
    }

    /// Whether an event that is too large ends the relay.
    pub fn stops_at_large(&self) -> bool {
        self.policy.too_large == TooLarge::Stop
    }

    /// Whether an event that no queue wants ends the relay.
    pub fn stops_at_unroutable(&self) -> bool {
        self.policy.unroutable == Unroutable::Stop
    }
}
