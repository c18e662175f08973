//! The ways in which a server comes to its end, or to a standstill.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::{Postgres, Process, ServerError};

impl Postgres {
    /// `kill -9` of the postmaster and of every process of the server at the same moment.
    ///
    /// # Errors
    ///
    /// [`ServerError::Late`] when they do not die.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        // Stopped, it neither starts a process nor sees one die, and no process sees it gone.
        process.signal(Signal::STOP);
        signal_all(&process, Signal::KILL);
        process.exit().await?;
        Ok(())
    }

    /// Stops every process of the server where it stands, until [`Postgres::thaw`].
    pub fn freeze(&self) {
        signal_all(self.process(), Signal::STOP);
    }

    /// Lets a stopped server go on.
    pub fn thaw(&self) {
        signal_all(self.process(), Signal::CONT);
    }

    /// `pg_ctl stop -m fast`, and waits for the end.
    ///
    /// # Errors
    ///
    /// [`ServerError::Late`] when something keeps the server up, for example a walsender whose
    /// client does not confirm.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        self.shut_down(Signal::INT).await
    }

    /// `pg_ctl stop -m smart`, which waits for ordinary sessions, and waits for the end.
    ///
    /// # Errors
    ///
    /// [`ServerError::Late`] when a session keeps the server up.
    pub async fn stop_smart(&mut self) -> Result<(), ServerError> {
        self.shut_down(Signal::TERM).await
    }

    async fn shut_down(&mut self, how: Signal) -> Result<(), ServerError> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        process.signal(how);
        process.exit().await?;
        Ok(())
    }
}

fn signal_all(postmaster: &Process, signal: Signal) {
    for child in children_of(postmaster.pid()) {
        // A process that has ended at this very moment needs no signal.
        let _ = kill_process(child, signal);
    }
    postmaster.signal(signal);
}

fn children_of(parent: i32) -> Vec<Pid> {
    let Ok(text) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else {
        return Vec::new();
    };
    text.split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}
