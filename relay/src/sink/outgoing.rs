/// One message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// `schema.table`, or what a logical message asks for.
    pub routing_key: &'a str,
    /// The same for the same event, whenever it is sent.
    pub message_id: &'a str,
    /// What consumers should know before they read it; most events have none.
    pub kind: Option<&'static str>,
    /// Whether the body is UTF-8; that of a logical message need not be.
    pub utf8: bool,
    /// When its transaction committed, in seconds since 1970-01-01 00:00 UTC; `None`: a message
    /// outside of any transaction.
    pub commit_time: Option<u64>,
    /// The event.
    pub body: &'a [u8],
}
