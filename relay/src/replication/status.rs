use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pgevents_proto::{Lsn, PG_EPOCH_UNIX_MICROS};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    delivery::Acknowledged,
    position::{Disk, Recorder},
};

/// Reports of a moving position come no closer together than this: each makes the server look at
/// the slot, and possibly write it to disk.
const SPACING: Duration = Duration::from_millis(100);

/// What the next report says, and how urgent it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything before it may be forgotten; the value of `AckTracker::acknowledged`.
    pub acknowledged: Acknowledged,
    /// Counts the times that the server asked for a report.
    pub replies_due: u64,
    /// Counts the times that we want to hear from the server.
    pub pings: u64,
    /// Send a last report and end the stream.
    pub closing: bool,
}

/// The task that reports progress to the server. It owns the writing half and waits for nothing but
/// the socket, so a stalled broker never makes the server believe that the relay is dead; a stalled
/// disk does not either, as it reports the old position meanwhile.
#[derive(Debug)]
pub struct StatusTask {
    progress: watch::Sender<Progress>,
    task: JoinHandle<io::Result<()>>,
}

impl StatusTask {
    /// Starts to report, at least every `interval`, what `recorder` has recorded.
    pub fn start<D: Disk>(
        stream: impl AsyncWrite + Unpin + Send + 'static,
        interval: Duration,
        recorder: Recorder<D>,
    ) -> Self {
        let (progress, changes) = watch::channel(Progress::default());
        let task = tokio::spawn(report(stream, changes, interval, recorder));
        Self { progress, task }
    }

    /// A new position to acknowledge.
    pub fn acknowledged(&self, acknowledged: Acknowledged) {
        self.progress.send_if_modified(|progress| {
            let moved = acknowledged.is_beyond(progress.acknowledged);
            progress.acknowledged = progress.acknowledged.max(acknowledged);
            moved
        });
    }

    /// The server wants a report at once.
    pub fn reply(&self) {
        self.progress
            .send_modify(|progress| progress.replies_due += 1);
    }

    /// Asks the server for a sign of life.
    pub fn ping(&self) {
        self.progress.send_modify(|progress| progress.pings += 1);
    }

    /// Sends a last report and the end of the stream.
    ///
    /// # Errors
    ///
    /// They could not be written.
    pub async fn close(mut self) -> io::Result<()> {
        self.progress
            .send_modify(|progress| progress.closing = true);
        (&mut self.task)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Drop for StatusTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report<D: Disk>(
    mut stream: impl AsyncWrite + Unpin,
    mut changes: watch::Receiver<Progress>,
    interval: Duration,
    mut recorder: Recorder<D>,
) -> io::Result<()> {
    let mut sent = Progress::default();
    let mut sent_at = Instant::now();
    // Not the last report: a server that shuts down asks again as soon as it has an answer, and
    // would get the same one for ever.
    let mut recorded_at = sent_at;
    loop {
        let progress = *changes.borrow_and_update();
        recorder.reach(progress.acknowledged);
        let mut behind = recorder.is_behind(progress.acknowledged);
        if behind && (progress.closing || recorded_at + SPACING <= Instant::now()) {
            recorder.begin(progress.acknowledged);
            recorded_at = Instant::now();
            behind = recorder.is_behind(progress.acknowledged);
        }
        let ping = progress.pings != sent.pings;
        let asked = ping || progress.replies_due != sent.replies_due;
        let last = progress.closing && !behind;
        let due = match recorder.recorded().wal > sent.acknowledged.wal {
            true => sent_at + SPACING,
            false => sent_at + interval,
        };
        if asked || last || due <= Instant::now() {
            let acknowledged = recorder.recorded();
            stream
                .write_all(&status_update(acknowledged.wal, ping))
                .await?;
            if last {
                // CopyDone and Terminate
                stream
                    .write_all(&[b'c', 0, 0, 0, 4, b'X', 0, 0, 0, 4])
                    .await?;
                return stream.flush().await;
            }
            stream.flush().await?;
            sent = Progress {
                acknowledged,
                ..progress
            };
            sent_at = Instant::now();
            continue;
        }
        let next = match behind && !recorder.is_writing() {
            true => recorded_at + SPACING,
            false => due,
        };
        tokio::select! {
            biased;
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = recorder.written() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Standby status update. Written and applied positions are the flushed one: while the server sees
/// them behind its own, it sends keepalives as soon as it is idle, which move an idle slot on.
fn status_update(flush: Lsn, ping: bool) -> [u8; 39] {
    let mut message = [0; 39];
    message[0] = b'd';
    message[1..5].copy_from_slice(&38_u32.to_be_bytes());
    message[5] = b'r';
    for place in [6, 14, 22] {
        message[place..place + 8].copy_from_slice(&flush.0.to_be_bytes());
    }
    message[30..38].copy_from_slice(&now().to_be_bytes());
    message[38] = u8::from(ping);
    message
}

/// Microseconds since 2000-01-01 00:00 UTC.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX) - PG_EPOCH_UNIX_MICROS
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::UnixStream, time::timeout};

    use super::*;
    use crate::{
        position::{LocalDisk, Position, System},
        postgres::Stream,
    };

    #[tokio::test]
    async fn a_server_that_asks_again_after_each_answer_learns_of_progress() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let (_read, write) = tokio::io::split(Stream::Unix(ours));
        let system = System { id: 7, timeline: 1 };
        let start = Position::new("s", "d", system, Lsn(50).into());
        let (recorder, _fault) = Recorder::<LocalDisk>::new(None, start, Lsn(50), true);
        let status = StatusTask::start(write, Duration::from_secs(60), recorder);
        status.acknowledged(Lsn(100).into());
        let asking = async {
            loop {
                status.reply();
                let mut report = [0; 39];
                theirs.read_exact(&mut report).await.expect("a report");
                if report[6..14] == 100_u64.to_be_bytes() {
                    return;
                }
            }
        };
        let learned = timeout(Duration::from_secs(10), asking).await;
        assert!(learned.is_ok(), "it was told the old position for ever");
    }

    #[test]
    fn a_report_has_the_form_that_the_server_expects() {
        let message = status_update(Lsn(0x0102_0304_0506_0708), true);
        assert_eq!(message[..6], [b'd', 0, 0, 0, 38, b'r']);
        for place in [6, 14, 22] {
            assert_eq!(message[place..place + 8], [1, 2, 3, 4, 5, 6, 7, 8]);
        }
        assert_eq!(message[38], 1);
    }
}
