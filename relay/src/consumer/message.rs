/// One message that has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) routing_key: &'a str,
    /// Empty where there is none.
    pub(super) message_id: &'a str,
    pub(super) body: &'a [u8],
}
