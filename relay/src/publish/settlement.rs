use lapin::{BasicProperties, message::BasicReturnMessage, types::ShortString};

use super::{Outcome, Returned};
use crate::delivery::Confirmed;

/// A message that has been given to lapin.
#[derive(Debug)]
pub(super) struct Sent {
    /// The message.
    pub(super) message: Confirmed,
    /// Its key, where returned messages have to be told apart.
    pub(super) message_id: Option<ShortString>,
    /// Whether it is the copy that goes to the parking exchange.
    pub(super) parked: bool,
}

/// How lapin has completed a message.
#[derive(Debug)]
pub(super) enum End {
    /// By a confirm.
    Acked,
    /// By a confirm with a message that came back: itself, or another one.
    AckedWith(Box<Returned>),
    /// By a refusal.
    Nacked,
}

/// Finds out what has become of each message.
///
/// The broker sends a message back before it confirms it. lapin hangs it on whichever confirm it
/// completes next, of this message or of another one, in no order within a confirm of many. So
/// messages that came back are matched by their key; where one of them ends the session anyhow, the
/// keys are not kept.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    acked: Vec<Sent>,
    failed: Vec<Outcome>,
    /// What came back, and whose own confirm is not here yet.
    returned: Vec<Returned>,
}

impl Settlement {
    /// Takes note of a message.
    pub(super) fn take(&mut self, sent: Sent, end: End) {
        match end {
            End::Acked => self.acked.push(sent),
            End::AckedWith(returned) => {
                self.returned.push(*returned);
                self.acked.push(sent);
            }
            End::Nacked => self.failed.push(Outcome::Nacked(sent.message)),
        }
    }

    /// Messages that are not handed out yet.
    pub(super) fn len(&self) -> usize {
        self.acked.len() + self.failed.len()
    }

    /// Hands out what has become of them: first what was refused or came back.
    pub(super) fn hand_out(&mut self, outcomes: &mut Vec<Outcome>) {
        outcomes.append(&mut self.failed);
        if !self.returned.is_empty() {
            let Self {
                acked, returned, ..
            } = self;
            acked.retain(|sent| match own(sent, returned) {
                None => true,
                Some(at) => {
                    let returned = Box::new(returned.swap_remove(at));
                    outcomes.push(Outcome::Returned(sent.message, returned));
                    false
                }
            });
        }
        let confirmed = |sent: Sent| Outcome::Confirmed(sent.message);
        outcomes.extend(self.acked.drain(..).map(confirmed));
    }
}

/// Which of the messages that came back is this one.
fn own(sent: &Sent, returned: &[Returned]) -> Option<usize> {
    match &sent.message_id {
        Some(id) => returned.iter().position(|returned| {
            returned.parked == sent.parked && returned.message_id() == Some(id)
        }),
        // Any one ends the session.
        None => (!returned.is_empty()).then_some(0),
    }
}

impl Returned {
    /// What lapin gives; `parking` is the name of the parking exchange.
    pub(super) fn of(message: BasicReturnMessage, parking: Option<&ShortString>) -> Self {
        let reply = format!("{} {}", message.reply_code, message.reply_text);
        let delivery = message.delivery;
        Self {
            parked: parking == Some(&delivery.exchange),
            routing_key: delivery.routing_key,
            reply,
            properties: delivery.properties,
            body: delivery.data.into(),
        }
    }

    fn message_id(&self) -> Option<&ShortString> {
        let id: &Option<ShortString> = BasicProperties::message_id(&self.properties);
        id.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u64) -> Sent {
        Sent {
            message: Confirmed { number, bytes: 1 },
            message_id: Some(number.to_string().into()),
            parked: false,
        }
    }

    fn returned(number: u64, parked: bool) -> Box<Returned> {
        Box::new(Returned {
            routing_key: "public.users".into(),
            reply: "312 NO_ROUTE".to_owned(),
            parked,
            properties: BasicProperties::default().with_message_id(number.to_string().into()),
            body: Box::default(),
        })
    }

    /// Numbers of what is handed out, with `r` for what came back and `n` for what was refused.
    fn handed_out(settlement: &mut Settlement) -> Vec<String> {
        let mut outcomes = Vec::new();
        settlement.hand_out(&mut outcomes);
        let text = |outcome: &Outcome| match outcome {
            Outcome::Confirmed(message) => message.number.to_string(),
            Outcome::Returned(message, _) => format!("r{}", message.number),
            Outcome::Nacked(message) => format!("n{}", message.number),
        };
        outcomes.iter().map(text).collect()
    }

    #[test]
    fn what_came_back_on_the_confirm_of_another_message_is_matched_by_its_key() {
        let mut settlement = Settlement::default();
        settlement.take(sent(1), End::AckedWith(returned(2, false)));
        settlement.take(sent(3), End::Acked);
        settlement.take(sent(2), End::Acked);
        assert_eq!(handed_out(&mut settlement), ["r2", "1", "3"]);
    }

    #[test]
    fn what_came_back_before_its_own_confirm_waits_for_it() {
        let mut settlement = Settlement::default();
        settlement.take(sent(1), End::AckedWith(returned(2, false)));
        assert_eq!(handed_out(&mut settlement), ["1"]);
        settlement.take(sent(2), End::Acked);
        assert_eq!(handed_out(&mut settlement), ["r2"]);
        assert_eq!(settlement.len(), 0);
    }

    #[test]
    fn a_parked_copy_is_not_taken_for_the_message() {
        let mut settlement = Settlement::default();
        settlement.take(sent(1), End::AckedWith(returned(1, true)));
        assert_eq!(handed_out(&mut settlement), ["1"]);
        let parked = true;
        settlement.take(Sent { parked, ..sent(1) }, End::Acked);
        assert_eq!(handed_out(&mut settlement), ["r1"]);
    }

    #[test]
    fn without_keys_whatever_came_back_comes_before_every_confirm() {
        let mut settlement = Settlement::default();
        for number in 1..4 {
            let end = match number {
                2 => End::AckedWith(returned(3, false)),
                _ => End::Acked,
            };
            let message_id = None;
            let unnamed = Sent {
                message_id,
                ..sent(number)
            };
            settlement.take(unnamed, end);
        }
        settlement.take(sent(4), End::Nacked);
        assert_eq!(handed_out(&mut settlement), ["n4", "r1", "2", "3"]);
    }
}
