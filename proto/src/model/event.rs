use super::{Begin, Change, Commit, Hello, Message, RelationEntry};

/// What a source says, one thing at a time, in the order of the commits.
#[derive(Debug)]
pub enum Event<'a> {
    /// The session's self-description; first in its first frame and nowhere else.
    Hello(&'a Hello),
    /// A new entry of the schema dictionary.
    Relation(&'a RelationEntry),
    /// A transaction starts.
    Begin(Begin),
    /// A row change, or a TRUNCATE.
    Change(Change<'a>),
    /// A logical message, in a transaction or outside any.
    Message(Message<'a>),
    /// The open transaction is complete.
    Commit(Commit),
    /// What a later version of the plugin says beside these: nothing that this reader needs.
    Unknown,
}
