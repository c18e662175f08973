//! One reading of a workload's WAL by one plugin.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pgevents_proto::Lsn;
use pgevents_relay::walsender::{Message, Session, StatusTask};
use pgevents_tests::lab::Postgres;
use tokio_postgres::Client;

use super::contender::Contender;
use crate::{process_clock, server};

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// CPU time of the walsender, user and system, from its start to the last byte.
    pub cpu: Duration,
    /// From the start of the stream to the last byte.
    pub wall: Duration,
    /// Output of the plugin in bytes, without the protocol around it.
    pub bytes: u64,
    /// Number of the plugin's messages.
    pub messages: u64,
}

impl Measurement {
    /// Reads the slot up to `end` without acknowledging anything, so that it can be read again.
    ///
    /// # Errors
    ///
    /// When the server refuses, or the connection breaks.
    pub async fn take(
        postgres: &Postgres,
        client: &Client,
        contender: &Contender,
        database: &str,
        end: Lsn,
    ) -> anyhow::Result<Self> {
        let slot = slot_name(database, contender.plugin);
        let session = Session::connect(&server::address(postgres, database)).await?;
        let begun = Instant::now();
        let (mut reader, writer) = session
            .stream(&slot, Lsn::INVALID, &contender.options)
            .await?;
        let walsender: i32 = client
            .query_one(
                "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1",
                &[&slot],
            )
            .await?
            .get(0);
        let (mut bytes, mut messages) = (0, 0);
        'stream: loop {
            reader.fill().await?;
            while let Some(message) = reader.message()? {
                match message {
                    Message::XLogData(data) => {
                        bytes += data.len() as u64;
                        messages += 1;
                    }
                    Message::Keepalive { wal_end, reply: _ } if wal_end >= end => break 'stream,
                    Message::Keepalive { .. } => {}
                    Message::Done => bail!("the server ended the stream of {slot}"),
                }
            }
        }
        let wall = begun.elapsed();
        let cpu = process_clock::cpu_time(walsender)?;
        // The last report names no position; the end of the connection says that the slot is free.
        let status = StatusTask::start(writer, Duration::from_secs(3_600));
        status.close().await.context("end the stream")?;
        while reader.fill().await.is_ok() {
            while reader.message()?.is_some() {}
        }
        Ok(Self {
            cpu,
            wall,
            bytes,
            messages,
        })
    }
}

/// The slot of a plugin in a database.
pub fn slot_name(database: &str, plugin: &str) -> String {
    format!("{database}_{plugin}")
}
