use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::lab::{Log, Postgres, Process, RabbitMq};

/// The logs of all processes of a campaign, those that have ended included.
#[derive(Debug, Default)]
pub struct Chronicle {
    relays: Vec<Entry>,
    postgres: Vec<Entry>,
    rabbitmq: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    pid: i32,
    log: Arc<Log>,
}

impl Chronicle {
    /// A relay was started.
    pub fn add_relay(&mut self, relay: &Process) {
        self.relays.push(Entry::of(relay, relay.stderr()));
    }

    /// The server was started.
    pub fn add_postgres(&mut self, postgres: &Postgres) {
        let process = postgres.process();
        self.postgres.push(Entry::of(process, process.stderr()));
    }

    /// The broker was started.
    pub fn add_rabbitmq(&mut self, rabbitmq: &RabbitMq) {
        let process = rabbitmq.process();
        self.rabbitmq.push(Entry::of(process, process.stdout()));
    }

    /// Writes a file for each part into a folder.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, entries) in [
            ("relay.log", &self.relays),
            ("postgresql.log", &self.postgres),
            ("rabbitmq.log", &self.rabbitmq),
        ] {
            let mut text = String::new();
            for Entry { pid, log } in entries {
                text.push_str(&format!("--- process {pid}\n{}\n", log.since(0).join("\n")));
            }
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }
}

impl Entry {
    fn of(process: &Process, log: &Arc<Log>) -> Self {
        Self {
            pid: process.pid(),
            log: Arc::clone(log),
        }
    }
}
