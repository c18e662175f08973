use std::fmt;

/// What keeps the acknowledged position from going on. Behind it, the state file and the reports to
/// PostgreSQL take their time too: see `position::Recorder` and `replication::StatusTask`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// Nothing: everything that came is acknowledged.
    #[default]
    Nothing,
    /// The source gives again what has arrived in an earlier session, and has not come to its end.
    Known,
    /// A transaction whose commit has not come: only its end can be acknowledged.
    OpenTransaction,
    /// So many messages from the first one on that the sink has not confirmed.
    Unconfirmed(u64),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Known => f.write_str("what had arrived has to come again first"),
            Self::OpenTransaction => f.write_str("a transaction whose commit has not come yet"),
            Self::Unconfirmed(1) => f.write_str("1 message without a confirm"),
            Self::Unconfirmed(messages) => write!(f, "{messages} messages without a confirm"),
        }
    }
}
