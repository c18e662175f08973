//! One reading of a workload's WAL by one plugin.

use std::time::{Duration, Instant};

use anyhow::Context;
use pgevents_proto::Lsn;
use pgevents_relay::postgres::Postgres;

use super::contender::Contender;
use super::stream::{Counted, Reader, Stream};
use crate::process_clock;

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// CPU time of the walsender, user and system, from its start to the last byte.
    pub cpu: Duration,
    /// From the start of the stream to the last byte.
    pub wall: Duration,
    /// What came.
    pub counted: Counted,
}

impl Measurement {
    /// Reads the slot up to `end` without acknowledging anything, so that it can be read again.
    ///
    /// # Errors
    ///
    /// When the server refuses, or the connection breaks.
    pub fn take(
        address: &Postgres,
        contender: &Contender,
        end: Lsn,
        reader: Reader,
    ) -> anyhow::Result<Self> {
        let slot = slot_name(&address.database, contender.plugin);
        let mut stream = Stream::connect(address, reader)?;
        let begun = Instant::now();
        let options = contender.options.iter();
        let options: Vec<_> = options
            .map(|(name, value)| (*name, Some(value.as_str())))
            .collect();
        stream.start(&slot, &options)?;
        let counted = stream.read_until(end);
        let counted = counted.with_context(|| format!("read with {}", contender.name))?;
        let wall = begun.elapsed();
        let cpu = process_clock::cpu_time(stream.walsender)?;
        stream.end()?;
        Ok(Self { cpu, wall, counted })
    }
}

/// The slot of a plugin in a database.
pub fn slot_name(database: &str, plugin: &str) -> String {
    format!("{database}_{plugin}")
}
