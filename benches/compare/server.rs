//! A private PostgreSQL that can load every plugin of a comparison.

use anyhow::Context;
use pgevents_relay::postgres;
use pgevents_relay::secret::Secret;
use pgevents_relay::tls::Certificates;
use pgevents_tests::dist::{self, Installation};
use pgevents_tests::lab::{Postgres, RELAY_ROLE};
use tokio_postgres::Client;

use crate::{before, floor};

/// Beyond the settings of a private server. The caches hold every workload, so that no plugin pays
/// for the disk; a paused reader is not taken for dead; commit times are kept, since latency is
/// measured from them.
const SETTINGS: &str = "\
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
wal_sender_timeout = 0
track_commit_timestamp = on
";

/// Starts it.
///
/// # Errors
///
/// When a build or a package is missing, or the server does not start.
pub async fn start() -> anyhow::Result<Postgres> {
    let installation = Installation::find()?;
    let floor_folder = floor::build(&installation)?;
    before::install_plugin(&floor_folder, installation.major)?;
    let plugin = dist::built(dist::plugin(installation.major))?;
    let plugin_folder = plugin.parent().unwrap_or(&plugin).display();
    let settings = format!(
        "{SETTINGS}dynamic_library_path = '{plugin_folder}:{}:$libdir'\n",
        floor_folder.display()
    );
    let mut server = Postgres::start(&settings).await?;
    if server.has_plugin_list() {
        server.append_settings(&format!(
            "output_plugin_libraries = \
             'pgoutput, test_decoding, pgevents, wal2json, decoderbufs, {}, {}'",
            floor::NAME,
            before::PLUGIN
        ))?;
        server.stop().await?;
        server.run().await?;
    }
    Ok(server)
}

/// Makes a database and connects to it.
///
/// # Errors
///
/// What the server refused.
pub async fn new_database(server: &Postgres, name: &str) -> anyhow::Result<Client> {
    let administrator = server.connect("postgres").await?;
    administrator
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .with_context(|| format!("make database {name}"))?;
    Ok(server.connect(name).await?)
}

/// Removes a database and its slots.
///
/// # Errors
///
/// What the server refused.
pub async fn drop_database(server: &Postgres, name: &str) -> anyhow::Result<()> {
    let administrator = server.connect("postgres").await?;
    let drop_slots = format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE database = '{name}'"
    );
    administrator
        .batch_execute(&drop_slots)
        .await
        .with_context(|| format!("drop the slots of {name}"))?;
    administrator
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .with_context(|| format!("drop database {name}"))
}

/// How the relay's own client reaches a database, over TCP without TLS.
pub fn address(server: &Postgres, database: &str) -> postgres::Postgres {
    postgres::Postgres {
        host: "127.0.0.1".into(),
        port: server.port(),
        database: database.into(),
        user: RELAY_ROLE.into(),
        password: postgres::Password::Given(Secret::new(server.relay_password())),
        tls: postgres::TlsMode::Disable,
        certificates: Certificates::default(),
        channel_binding: postgres::ChannelBinding::Prefer,
    }
}
