use std::{net::SocketAddr, time::Duration};

use pgevents_proto::Options;

use super::Plan;
use crate::{postgres::Postgres, sink};

/// Settings of `producer`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// What the plugin is asked for.
    pub plugin: Options,
    /// Whether a list that names what is not there keeps the relay from starting.
    pub strict: bool,
    /// Where events go.
    pub sink: sink::Settings,
    /// Longest pause between two reports of progress.
    pub status_interval: Duration,
    /// Where monitoring may ask; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// What the loop does between both ends.
    pub plan: Plan,
}
