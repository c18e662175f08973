//! The output plugins that are compared, each set up as its users set it up.

use super::workload::Workload;
use crate::{before, floor};

/// A plugin with options.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Name in the results.
    pub name: &'static str,
    /// Plugin; its slot has the same name.
    pub plugin: &'static str,
    /// Options of START_REPLICATION.
    pub options: Vec<(&'static str, String)>,
}

/// Name of the publication with all tables, and of the one with the wanted table.
pub const EVERYTHING: &str = "everything";
/// See [`EVERYTHING`].
pub const WANTED: &str = "wanted";

/// The plugin under test.
pub const PGEVENTS: &str = "pgevents";
/// What everything is compared with.
pub const FLOOR: &str = "floor";

/// The plugins whose slots a workload needs.
pub fn plugins() -> Vec<&'static str> {
    let mut plugins = vec![
        floor::NAME,
        PGEVENTS,
        "pgoutput",
        "wal2json",
        "decoderbufs",
        "test_decoding",
    ];
    plugins.extend(before::folder().map(|_| before::PLUGIN));
    plugins
}

/// Who takes part in a workload: all that can do what it asks for.
pub fn contenders(workload: &Workload) -> Vec<Contender> {
    let contender = |name, plugin, options: &[(&'static str, &str)]| Contender {
        name,
        plugin,
        options: options
            .iter()
            .map(|(option, value)| (*option, (*value).to_owned()))
            .collect(),
    };
    let table = workload.only_table.map(|table| format!("public.{table}"));
    let publication = match workload.only_table {
        Some(_) => WANTED,
        None => EVERYTHING,
    };
    let pgoutput = [("proto_version", "1"), ("publication_names", publication)];
    let binary = [pgoutput[0], pgoutput[1], ("binary", "true")];
    let mut all = vec![contender(FLOOR, floor::NAME, &[])];
    let before = before::folder().map(|_| ("pgevents before", before::PLUGIN));
    for (name, plugin) in [(PGEVENTS, PGEVENTS)].into_iter().chain(before) {
        match &table {
            Some(table) => all.push(contender(name, plugin, &[("tables", table)])),
            None => all.push(contender(name, plugin, &[])),
        }
    }
    if workload.noop {
        let skip = [("skip-noop", "true")];
        all.push(contender("pgevents skip-noop", PGEVENTS, &skip));
    }
    all.push(contender("pgoutput text", "pgoutput", &pgoutput));
    all.push(contender("pgoutput binary", "pgoutput", &binary));
    let format = ("format-version", "2");
    match &table {
        Some(table) => all.push(contender(
            "wal2json",
            "wal2json",
            &[format, ("add-tables", table)],
        )),
        None => {
            all.push(contender("wal2json", "wal2json", &[format]));
            // These two cannot filter.
            all.push(contender("decoderbufs", "decoderbufs", &[]));
            all.push(contender("test_decoding", "test_decoding", &[]));
        }
    }
    all
}
