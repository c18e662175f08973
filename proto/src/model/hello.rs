/// The first thing a session says: who speaks, and with which options in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The writer's [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION). A reader stops at one that it
    /// does not know.
    pub protocol_version: u32,
    /// Version of the plugin, e.g. `0.1.0`.
    pub plugin_version: String,
    /// `PG_VERSION_NUM` of the server, e.g. 150020.
    pub server_version_num: u32,
    /// Encoding of the database by PostgreSQL's name, e.g. `UTF8`.
    pub database_encoding: String,
    /// Options that were given, as `name=value`; all others have their defaults.
    pub options: Vec<String>,
}
