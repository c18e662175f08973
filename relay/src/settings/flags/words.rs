//! Words on the command line for what other modules choose between.

use clap::{ValueEnum, builder::PossibleValue};

use crate::{
    consumer::{EventAction, QueueType},
    delivery::{TooLarge, Unroutable},
    log::Format,
    sink::amqp::{ExchangeDeclare, Fence},
};

/// A choice of another module as a word: `Word(Unroutable::Block)` is `block`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word<T>(pub T);

/// Says for a type which word stands for each of its values, and what that does.
macro_rules! words {
    ($($choice:ident { $($value:ident: $word:literal $(or $alias:literal)?, $help:literal;)+ })+) => {$(
        impl ValueEnum for Word<$choice> {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Word($choice::$value)),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(match self.0 {
                    $($choice::$value => {
                        PossibleValue::new($word)$(.alias($alias))?.help($help)
                    })+
                })
            }
        }
    )+};
}

words! {
    Unroutable {
        Block: "block", "Nothing later is acknowledged until it has arrived somewhere: try again, from it on";
        Park: "park", "It goes to the parking exchange, and counts as delivered when that has confirmed it";
        Drop: "drop", "It is counted and forgotten";
        Stop: "stop", "The relay ends with exit code 21";
    }
    TooLarge {
        Marker: "marker", "A small event goes in its place, which says whose and how large it was";
        Stop: "stop", "The relay ends with exit code 22";
    }
    ExchangeDeclare {
        Declare: "declare", "Made when it is missing";
        Passive: "passive", "Must be there";
        Off: "off", "Not looked for";
    }
    Fence {
        Auto: "auto", "Yes, unless its user may not declare the queue that is the lock";
        On: "on", "Yes; without the permission the relay ends with exit code 20";
        Off: "off", "No";
    }
    QueueType {
        Classic: "classic", "On one node, not synced to disk before the confirm";
        Quorum: "quorum", "Replicated, and synced to disk before the confirm";
    }
    EventAction {
        Insert: "insert" or "I", "`\"I\"`";
        Update: "update" or "U", "`\"U\"`";
        Delete: "delete" or "D", "`\"D\"`";
        Truncate: "truncate" or "T", "`\"T\"`";
    }
    Format {
        Text: "text", "For people";
        Json: "json", "One object a line";
    }
}
