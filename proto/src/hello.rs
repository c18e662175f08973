/// Version of the meaning of `pgevents.proto` that this crate reads and writes.
pub const PROTOCOL_VERSION: u32 = 1;

/// The first thing a session says: who speaks, and with which options in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the writer. A reader stops at one that it does not know.
    pub protocol_version: u32,
    /// Version of the plugin, e.g. `0.1.0`.
    pub plugin_version: String,
    /// `PG_VERSION_NUM` of the server, e.g. 150020.
    pub server_version_num: u32,
    /// Encoding of the database by PostgreSQL's name, e.g. `UTF8`.
    pub database_encoding: String,
    /// Options in force as `name=value`, defaults included.
    pub options: Vec<String>,
}
