use std::fmt;

use lapin::{BasicProperties, message::BasicReturnMessage, types::ShortString};

use crate::{delivery::Sent, sink::Unrouted};

/// A message that has been given to lapin.
#[derive(Debug)]
pub(super) struct Given {
    /// The message.
    pub(super) message: Sent,
    /// Its key, where returned messages have to be told apart.
    pub(super) message_id: Option<ShortString>,
    /// What came back before, where this is the copy that goes to the parking exchange.
    pub(super) parked: Option<Unrouted>,
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

/// What has become of a message at the broker.
#[derive(Debug)]
pub(super) enum Settled {
    /// The broker has confirmed it.
    Confirmed(Given),
    /// No queue wanted it.
    Returned(Given, Box<Returned>),
    /// The broker refused it.
    Nacked(Given),
}

/// A message that came back.
pub(super) struct Returned {
    /// Its routing key.
    pub(super) routing_key: ShortString,
    /// The broker's words.
    pub(super) reply: String,
    /// Whether it was meant for the parking exchange.
    pub(super) parked: bool,
    /// Its properties.
    pub(super) properties: BasicProperties,
    /// Its body.
    pub(super) body: Box<[u8]>,
}

/// Finds out what has become of each message.
///
/// The broker sends a message back before it confirms it. lapin attaches it to the next confirm
/// that it completes: that of this message or of another one, and within a multiple confirm in any
/// order. So returned messages are matched by their key. Where one of them ends the session anyhow,
/// the keys are not kept.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    acked: Vec<Given>,
    nacked: Vec<Given>,
    /// What came back, and whose own confirm is not here yet.
    returned: Vec<Returned>,
}

impl Settlement {
    /// Takes note of a message.
    pub(super) fn take(&mut self, given: Given, end: End) {
        match end {
            End::Acked => self.acked.push(given),
            End::AckedWith(returned) => {
                self.returned.push(*returned);
                self.acked.push(given);
            }
            End::Nacked => self.nacked.push(given),
        }
    }

    /// Messages that are not handed out yet.
    pub(super) fn len(&self) -> usize {
        self.acked.len() + self.nacked.len()
    }

    /// Hands out what has become of them: first what was refused or came back.
    pub(super) fn hand_out(&mut self, mut to: impl FnMut(Settled)) {
        for given in self.nacked.drain(..) {
            to(Settled::Nacked(given));
        }
        if !self.returned.is_empty() {
            let Self {
                acked, returned, ..
            } = self;
            let mut at = 0;
            while at < acked.len() {
                match own(&acked[at], returned) {
                    None => at += 1,
                    Some(own) => {
                        let returned = Box::new(returned.swap_remove(own));
                        to(Settled::Returned(acked.remove(at), returned));
                    }
                }
            }
        }
        for given in self.acked.drain(..) {
            to(Settled::Confirmed(given));
        }
    }
}

/// Which of the messages that came back is this one.
fn own(given: &Given, returned: &[Returned]) -> Option<usize> {
    match &given.message_id {
        Some(id) => returned.iter().position(|returned| {
            returned.parked == given.parked.is_some() && returned.message_id() == Some(id)
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

    /// What may be told of it.
    pub(super) fn unrouted(&self) -> Unrouted {
        Unrouted {
            routing_key: self.routing_key.to_string(),
            reply: self.reply.clone(),
            parking: self.parked,
        }
    }

    fn message_id(&self) -> Option<&ShortString> {
        let id: &Option<ShortString> = BasicProperties::message_id(&self.properties);
        id.as_ref()
    }
}

impl fmt::Debug for Returned {
    /// Without the row's values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned")
            .field("routing_key", &self.routing_key)
            .field("reply", &self.reply)
            .field("parked", &self.parked)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(number: u64) -> Given {
        Given {
            message: Sent { number, bytes: 1 },
            message_id: Some(number.to_string().into()),
            parked: None,
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
        let mut texts = Vec::new();
        settlement.hand_out(|settled| {
            texts.push(match settled {
                Settled::Confirmed(given) => given.message.number.to_string(),
                Settled::Returned(given, _) => format!("r{}", given.message.number),
                Settled::Nacked(given) => format!("n{}", given.message.number),
            });
        });
        texts
    }

    #[test]
    fn what_came_back_on_the_confirm_of_another_message_is_matched_by_its_key() {
        let mut settlement = Settlement::default();
        settlement.take(given(1), End::AckedWith(returned(2, false)));
        settlement.take(given(3), End::Acked);
        settlement.take(given(2), End::Acked);
        assert_eq!(handed_out(&mut settlement), ["r2", "1", "3"]);
    }

    #[test]
    fn what_came_back_before_its_own_confirm_waits_for_it() {
        let mut settlement = Settlement::default();
        settlement.take(given(1), End::AckedWith(returned(2, false)));
        assert_eq!(handed_out(&mut settlement), ["1"]);
        settlement.take(given(2), End::Acked);
        assert_eq!(handed_out(&mut settlement), ["r2"]);
        assert_eq!(settlement.len(), 0);
    }

    #[test]
    fn a_parked_copy_is_not_taken_for_the_message() {
        let mut settlement = Settlement::default();
        settlement.take(given(1), End::AckedWith(returned(1, true)));
        assert_eq!(handed_out(&mut settlement), ["1"]);
        let parked = Some(returned(1, false).unrouted());
        settlement.take(Given { parked, ..given(1) }, End::Acked);
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
            let unnamed = Given {
                message_id,
                ..given(number)
            };
            settlement.take(unnamed, end);
        }
        settlement.take(given(4), End::Nacked);
        assert_eq!(handed_out(&mut settlement), ["n4", "r1", "2", "3"]);
    }
}
