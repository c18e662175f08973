use std::time::Duration;

use pgevents_relay::delivery::{Policy, TooLarge, Unroutable};

use crate::dice::Dice;

/// What a seed decides over its whole run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Policy of the relay.
    pub policy: Policy,
    /// Steps until everything heals.
    pub steps: u64,
    /// A fault comes once in so many steps.
    pub fault_once_in: u64,
    /// Bytes of text in the longest row.
    pub longest_text: u64,
}

impl Plan {
    /// The plan of a run.
    pub fn of(dice: &mut Dice) -> Self {
        let policy = Policy {
            window_messages: dice.number(1..16),
            window_bytes: dice.number(200..4_000),
            confirm_timeout: Duration::from_secs(30),
            unroutable: dice.pick(&[
                (3, Unroutable::Block),
                (2, Unroutable::Park),
                (1, Unroutable::Drop),
                (1, Unroutable::Stop),
            ]),
            max_message_bytes: if dice.once_in(3) { 300 } else { 10_000 },
            too_large: dice.pick(&[(3, TooLarge::Marker), (1, TooLarge::Stop)]),
        };
        Self {
            policy,
            steps: dice.number(50..600),
            fault_once_in: dice.number(10..120),
            longest_text: if dice.once_in(3) { 200 } else { 20 },
        }
    }
}
