//! The real relay binary as a child process.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;

use super::fail;
use super::tidiness::Tidiness;
use crate::dist;
use pgevents_servers::Process;

/// The environment and flags of a relay that is about to be started.
#[derive(Debug)]
pub struct RelayCommand<'lab> {
    /// One word, or several with spaces between.
    subcommand: &'static str,
    environment: BTreeMap<String, String>,
    flags: Vec<String>,
    terminal: bool,
    tidiness: &'lab Tidiness,
}

impl<'lab> RelayCommand<'lab> {
    pub(super) fn new(subcommand: &'static str, tidiness: &'lab Tidiness) -> Self {
        Self {
            subcommand,
            environment: BTreeMap::new(),
            flags: Vec::new(),
            terminal: false,
            tidiness,
        }
    }

    /// Sets a variable. Nothing else of the caller's environment reaches the relay.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds flags, separated by spaces.
    #[must_use]
    pub fn flags(mut self, flags: &str) -> Self {
        self.flags
            .extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one flag and its value as they are.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Its output goes to a terminal, which is made by `script` of util-linux; the terminal's text,
    /// with what it logs, is then its standard output.
    #[must_use]
    pub fn on_a_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Starts the relay, which logs JSON lines to standard error.
    ///
    /// # Panics
    ///
    /// When the relay is not built.
    pub fn start(self) -> Relay {
        let binary = dist::built(dist::relay()).unwrap_or_else(|error| fail(&error.into()));
        let mut arguments: Vec<String> =
            self.subcommand.split_whitespace().map(Into::into).collect();
        arguments.extend(["--log-format".into(), "json".into()]);
        arguments.extend(self.flags);
        let mut command = match self.terminal {
            false => Command::new(binary),
            true => {
                // Names of the lab and of its folders have nothing that a shell would take apart.
                let line = format!("exec {} {}", binary.display(), arguments.join(" "));
                arguments = vec!["-qefc".into(), line, "/dev/null".into()];
                Command::new("script")
            }
        };
        command.args(arguments);
        command
            .env_clear()
            .env("HOME", "/nonexistent")
            .envs(&self.environment);
        let started = Process::start("relay", &mut command, Signal::KILL);
        let process = Arc::new(started.unwrap_or_else(|error| fail(&error)));
        self.tidiness.add_relay(&process);
        Relay { process }
    }
}

/// A relay that was started.
#[derive(Debug)]
pub struct Relay {
    process: Arc<Process>,
}

impl Relay {
    /// The process: output, memory, CPU time.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until a log line holds `text`, and returns the line.
    ///
    /// # Panics
    ///
    /// When the relay ends first, or the line does not come in time.
    pub async fn logs(&self, text: &str) -> String {
        self.logs_after(0, text).await
    }

    /// The same for lines at or after number `from`.
    ///
    /// # Panics
    ///
    /// The same.
    pub async fn logs_after(&self, from: usize, text: &str) -> String {
        let log = self.process.stderr();
        let awaited = format!("log line with {text:?}");
        let found = self
            .process
            .line(log, from, &awaited, |line| line.contains(text));
        found.await.unwrap_or_else(|error| fail(&error)).1
    }

    /// Waits for line `number` (from 0) of standard output.
    ///
    /// # Panics
    ///
    /// When the relay ends first, or the line does not come in time.
    pub async fn prints(&self, number: usize) -> String {
        let output = self.process.stdout();
        let found = self
            .process
            .line(output, number, "line of output", |_| true);
        found.await.unwrap_or_else(|error| fail(&error)).1
    }

    /// Waits for a line of standard output that holds `text`, and returns it.
    ///
    /// # Panics
    ///
    /// When the relay ends first, or the line does not come in time.
    pub async fn prints_with(&self, text: &str) -> String {
        let output = self.process.stdout();
        let found = self
            .process
            .line(output, 0, text, |line| line.contains(text));
        found.await.unwrap_or_else(|error| fail(&error)).1
    }

    /// Ends it with `kill -9`.
    pub async fn kill(&self) {
        self.process.signal(Signal::KILL);
        self.process
            .exit()
            .await
            .unwrap_or_else(|error| fail(&error));
    }

    /// Sends SIGTERM and expects a clean end.
    ///
    /// # Panics
    ///
    /// When the exit code is not 0.
    pub async fn stop(&self) {
        self.process.signal(Signal::TERM);
        assert_eq!(self.exit_code().await, 0, "exit code after SIGTERM");
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it does not, or when a signal ended it.
    pub async fn exit_code(&self) -> i32 {
        let status = self
            .process
            .exit()
            .await
            .unwrap_or_else(|error| fail(&error));
        status
            .code()
            .unwrap_or_else(|| panic!("the relay ended by {status}"))
    }

    /// Highest resident memory so far, in bytes.
    ///
    /// # Panics
    ///
    /// When the relay has ended.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.process.memory_bytes("VmHWM").expect("the relay runs")
    }
}
