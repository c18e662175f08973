//! The rule that a test ends clean: what its relays and its database wrote at WARN or above was
//! expected, and relays stop when they are asked to.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use pgevents_servers::Log;
use pgevents_servers::Process;
use pgevents_servers::ServerError as LabError;

/// What one test started and what it expects to see in the logs.
#[derive(Debug)]
pub(super) struct Tidiness {
    database: String,
    servers: Vec<(Arc<Log>, usize)>,
    relays: Mutex<Vec<Arc<Process>>>,
    allowed: Vec<String>,
    finished: bool,
}

impl Tidiness {
    pub(super) fn new(database: &str, server: &Arc<Process>) -> Self {
        let log = Arc::clone(server.stderr());
        let from = log.len();
        Self {
            database: database.to_owned(),
            servers: vec![(log, from)],
            relays: Mutex::default(),
            // The server's word for a client that went away; whose log says why is the client's.
            allowed: vec!["FATAL:  connection to client lost".to_owned()],
            finished: false,
        }
    }

    /// Adds the log of a server that was started anew.
    pub(super) fn follow(&mut self, server: &Arc<Process>) {
        self.servers.push((Arc::clone(server.stderr()), 0));
    }

    pub(super) fn add_relay(&self, relay: &Arc<Process>) {
        self.lock().push(Arc::clone(relay));
    }

    pub(super) fn allow(&mut self, text: &str) {
        self.allowed.push(text.to_owned());
    }

    pub(super) async fn stop_relays(&self) {
        let relays = self.lock().clone();
        for relay in relays.iter().filter(|relay| relay.status().is_none()) {
            relay.signal(Signal::TERM);
            match relay.exit().await {
                Ok(status) => assert!(status.success(), "{} stopped with {status}", relay.name()),
                Err(error @ LabError::Late { .. }) => panic!("stop on SIGTERM: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) fn check(&mut self) {
        self.finished = true;
        let mut unexpected = Vec::new();
        for relay in self.lock().iter() {
            unexpected.extend(
                relay
                    .stderr()
                    .since(0)
                    .into_iter()
                    .filter(|l| is_complaint(l)),
            );
        }
        unexpected.extend(self.server_complaints());
        unexpected.retain(|line| !self.allowed.iter().any(|text| line.contains(text)));
        assert!(
            unexpected.is_empty(),
            "unexpected in the logs:\n{}",
            unexpected.join("\n")
        );
    }

    fn server_complaints(&self) -> impl Iterator<Item = String> {
        let prefix = format!("] {} ", self.database);
        let lines = self.servers.iter().flat_map(|(log, from)| log.since(*from));
        lines.filter(move |line| {
            let levels = ["WARNING: ", "ERROR: ", "FATAL: ", "PANIC: "];
            line.split_once(&prefix)
                .is_some_and(|(_, message)| levels.iter().any(|level| message.starts_with(level)))
        })
    }

    fn print_logs(&self) {
        for relay in self.lock().iter() {
            let end = relay
                .status()
                .map_or("running".to_owned(), |status| status.to_string());
            eprintln!(
                "--- {} (pid {}, {end}):\n{}",
                relay.name(),
                relay.pid(),
                relay.tail()
            );
        }
        for (log, _) in &self.servers {
            eprintln!(
                "--- PostgreSQL (its last lines, every database):\n{}",
                log.tail(25)
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Process>>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tidiness {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_logs();
        } else {
            assert!(self.finished, "a test must end with `lab.finish()`");
        }
    }
}

/// A relay logs JSON objects with a level; anything else on its standard error is a panic or worse.
fn is_complaint(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(entry) => !matches!(entry["level"].as_str(), Some("INFO" | "DEBUG" | "TRACE")),
        Err(_) => !line.is_empty(),
    }
}
