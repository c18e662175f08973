//! How the process ends.

use std::{error::Error, fmt};

/// Why the process ended, as its exit code. A lost connection is never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Stopped as asked.
    Clean = 0,
    /// `doctor` has found something that has to be mended.
    Unhealthy = 1,
    /// A setting, a permission or the server's configuration has to be changed first.
    Configuration = 2,
    /// A second signal came before a stop was complete: what was in flight will be sent again.
    Abandoned = 3,
    /// The slot existed before and is gone: changes may be missing.
    SlotMissing = 10,
    /// The server has removed WAL that the slot still needed: changes are missing.
    SlotLost = 11,
    /// The slot was moved ahead or re-created, or this is another system: changes may be missing.
    SlotMoved = 12,
    /// Plugin and relay speak different versions of the wire contract, or the plugin was built for
    /// another major version of PostgreSQL.
    Version = 13,
    /// The broker refuses: credentials, permissions, virtual host or exchange.
    BrokerRefused = 20,
    /// No queue wants an event, and the policy is to stop.
    Unroutable = 21,
    /// An event is too large for the broker, and the policy is to stop.
    TooLarge = 22,
    /// A frame breaks the wire contract.
    Undecodable = 23,
    /// An outcome that cannot be, by the relay's own rules.
    Bug = 70,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What the relay does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Try again, with growing delays.
    Retry,
    /// Another relay has the slot: wait until it is free.
    Wait,
    /// End with this code: trying again would not help.
    Stop(Exit),
}

/// An error and its causes on one line.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries end with their cause, and give it as their source too.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Fault {
        text: &'static str,
        source: std::io::Error,
    }

    fn check(text: &'static str, expected: &str) {
        let source = std::io::Error::other("refused");
        assert_eq!(Chain(&Fault { text, source }).to_string(), expected);
    }

    #[test]
    fn a_cause_is_said_once() {
        check("connect", "connect: refused");
        check("connect: refused", "connect: refused");
    }
}
