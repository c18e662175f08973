//! One child process: its output as events, its end as an event, and its certain death.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;
use tokio::time::timeout;

use super::error::{During, ServerError};
use super::guardian;
use super::log::Log;

/// How long a test waits for any single event before it fails with the logs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a dropped process has to end on its last signal before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A running child in a process group of its own, so that Ctrl-C reaches only its owner.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    stdout: Arc<Log>,
    stderr: Arc<Log>,
    exit: watch::Receiver<Option<ExitStatus>>,
    last_signal: Signal,
    reaper: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with no input and both outputs collected. When the value is dropped, its
    /// process group gets `last_signal`, and SIGKILL if that was not enough.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when the program cannot be started.
    pub fn start(
        name: &str,
        command: &mut Command,
        last_signal: Signal,
    ) -> Result<Self, ServerError> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .process_group(0)
            .spawn()
            .during(|| format!("start {name} ({:?})", command.get_program()))?;
        let pid = Pid::from_child(&child);
        guardian::watch_group(pid);
        let (stdout, out_reader) = Log::of(child.stdout.take().expect("stdout is piped"));
        let (stderr, err_reader) = Log::of(child.stderr.take().expect("stderr is piped"));
        let (ended, exit) = watch::channel(None);
        let reaper = thread::spawn(move || {
            let status = wait(&mut child);
            guardian::forget_group(pid);
            // All of its output is in the logs before its end is an event.
            for reader in [out_reader, err_reader] {
                reader.join().expect("a log reader does not panic");
            }
            ended.send_replace(Some(status));
        });
        let reaper = Some(reaper);
        Ok(Self {
            name: name.to_owned(),
            pid,
            stdout,
            stderr,
            exit,
            last_signal,
            reaper,
        })
    }

    /// What the tests call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id; also the id of its process group.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// What it wrote to standard output.
    pub fn stdout(&self) -> &Arc<Log> {
        &self.stdout
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> &Arc<Log> {
        &self.stderr
    }

    /// Waits for a line of `log` (one of this process), at or after number `from`.
    ///
    /// # Errors
    ///
    /// [`ServerError::Ended`] when the process ends first, [`ServerError::Late`] after
    /// [`PATIENCE`].
    pub async fn line(
        &self,
        log: &Log,
        from: usize,
        awaited: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(usize, String), ServerError> {
        let first = async {
            tokio::select! {
                biased;
                found = log.line(from, &wanted) => Ok(found),
                status = self.ended() => Err(ServerError::Ended {
                    name: self.name.clone(),
                    status,
                    awaited: awaited.to_owned(),
                    tail: self.tail(),
                }),
            }
        };
        timeout(PATIENCE, first)
            .await
            .unwrap_or_else(|_| Err(self.late(awaited)))
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    ///
    /// [`ServerError::Late`] after [`PATIENCE`].
    pub async fn exit(&self) -> Result<ExitStatus, ServerError> {
        timeout(PATIENCE, self.ended())
            .await
            .map_err(|_| self.late("end"))
    }

    /// How it ended, or `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends a signal to the process alone; a process that has ended is left in peace.
    pub fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // A process that ended at this very moment is what any signal asks for.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Ends the process and every process of its group at once.
    pub fn kill_group(&self) {
        if self.status().is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// A field of `/proc/PID/status` in bytes, for example `VmHWM`, the peak resident memory.
    /// `None` when the process has ended.
    pub fn memory_bytes(&self, field: &str) -> Option<u64> {
        memory_bytes(self.pid(), field)
    }

    /// User and system CPU time so far, with the clock's grain of 10 ms. `None` when the process
    /// has ended.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // Fields 14 and 15 (proc(5)), in USER_HZ, which is 100 on every Linux; the second field is
        // a name in parentheses that may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }

    /// The last lines of both outputs.
    pub fn tail(&self) -> String {
        let (out, err) = (self.stdout.tail(15), self.stderr.tail(40));
        if out.is_empty() {
            err
        } else {
            format!("{err}\n(standard output)\n{out}")
        }
    }

    /// Waits for the end of the process, however long it takes.
    pub async fn ended(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let seen = exit
            .wait_for(Option::is_some)
            .await
            .expect("the waiting thread reports");
        seen.expect("it was just checked")
    }

    fn late(&self, awaited: &str) -> ServerError {
        ServerError::Late {
            name: self.name.clone(),
            awaited: awaited.to_owned(),
            patience: PATIENCE,
            tail: self.tail(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            let _ = kill_process_group(self.pid, self.last_signal);
        }
        let (gone, waiting) = mpsc::channel::<()>();
        let pid = self.pid;
        let killer = thread::spawn(move || {
            if waiting.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
        });
        if let Some(reaper) = self.reaper.take() {
            reaper.join().expect("the reaper does not panic");
        }
        drop(gone);
        killer.join().expect("the killer does not panic");
    }
}

/// The same of any process, by its id.
pub fn memory_bytes(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn wait(child: &mut Child) -> ExitStatus {
    child
        .wait()
        .expect("the child was started here and is waited for once")
}
