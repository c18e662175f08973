/// Who the server is, from `IDENTIFY_SYSTEM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Identifier of the cluster, the same on its standbys.
    pub id: u64,
    /// Timeline, one more after each promotion.
    pub timeline: u32,
}
