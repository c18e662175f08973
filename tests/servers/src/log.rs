//! The lines that a process has written, and the event that there are more of them.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

/// Every line so far of one output stream of one process.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
}

impl Log {
    /// Collects the lines of `stream` on a thread of its own until the stream ends.
    pub(super) fn of(stream: impl Read + Send + 'static) -> (Arc<Self>, JoinHandle<()>) {
        let log = Arc::new(Self {
            lines: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let writer = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut stream = BufReader::with_capacity(64 * 1024, stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|length| length > 0)
            {
                writer.push(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                line.clear();
            }
        });
        (log, reader)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines from number `from` (from 0) on.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    /// The last `count` lines as one text.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lock();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Waits for a line at or after number `from` and returns its number and text. Waits for ever:
    /// the caller bounds it.
    pub async fn line(&self, from: usize, wanted: impl Fn(&str) -> bool) -> (usize, String) {
        let mut count = self.count.subscribe();
        let mut next = from;
        loop {
            {
                let lines = self.lock();
                while let Some(line) = lines.get(next) {
                    if wanted(line) {
                        return (next, line.clone());
                    }
                    next += 1;
                }
            }
            count
                .wait_for(|&count| count > next)
                .await
                .expect("the log owns the sender");
        }
    }

    fn push(&self, line: String) {
        let count = {
            let mut lines = self.lock();
            lines.push(line);
            lines.len()
        };
        self.count.send_replace(count);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
