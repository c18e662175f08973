use std::sync::Arc;

use pgevents_proto::Lsn;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};

use super::{Position, StateError, StateFile};

/// Brings positions to the state file before they are acknowledged, one at a time and beside the
/// event loop: a disk may take its time, while the server still gets its signs of life.
#[derive(Debug)]
pub struct Recorder {
    /// `None`: nothing to write, so every position counts as recorded.
    file: Option<StateFile>,
    /// What is written; its position is the one written last.
    position: Position,
    /// Where the stream starts: acknowledged in an earlier session, or where the slot stood.
    start: Lsn,
    /// Highest position that may be acknowledged.
    recorded: Lsn,
    writing: Option<JoinHandle<Result<Position, StateError>>>,
    fault: Option<oneshot::Sender<StateError>>,
    /// Lives as long as the session: what it leaves behind is not written any more.
    session: Arc<()>,
}

/// Where a [`Recorder`] says that it cannot write.
#[derive(Debug)]
pub struct RecordFault(oneshot::Receiver<StateError>);

impl Recorder {
    /// A recorder for a stream that starts at `position`. While the state file does not say so yet
    /// (`written` is false), the first position that is recorded brings it there.
    pub fn new(file: Option<StateFile>, position: Position, written: bool) -> (Self, RecordFault) {
        let (fault, notice) = oneshot::channel();
        let start = position.acknowledged;
        let recorder = Self {
            file,
            position,
            start,
            recorded: if written { start } else { Lsn::INVALID },
            writing: None,
            fault: Some(fault),
            session: Arc::default(),
        };
        (recorder, RecordFault(notice))
    }

    /// The position that may be acknowledged now: never before the start of the stream, as the
    /// server's position may be for as long as it reads old WAL.
    pub fn recorded(&self) -> Lsn {
        self.recorded.max(self.start)
    }

    /// Whether `flush` is not recorded yet, though it could be.
    pub fn is_behind(&self, flush: Lsn) -> bool {
        flush > Lsn::INVALID && flush.max(self.start) > self.recorded && self.fault.is_some()
    }

    /// Whether a position is on its way to the disk.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Starts to record `flush`, unless another position is on its way or there is nothing to do.
    pub fn begin(&mut self, flush: Lsn) {
        if !self.is_behind(flush) || self.is_writing() {
            return;
        }
        let acknowledged = flush.max(self.start);
        let Some(file) = self.file.clone() else {
            self.recorded = acknowledged;
            return;
        };
        let position = Position {
            acknowledged,
            ..self.position.clone()
        };
        let session = Arc::downgrade(&self.session);
        self.writing = Some(spawn_blocking(move || {
            let written = file.write_if(&position, || session.strong_count() > 0);
            written.map(|()| position)
        }));
    }

    /// Waits until the position on its way is recorded, or cannot be; for ever while there is none.
    /// May be given up at any time.
    pub async fn written(&mut self) {
        let (Some(writing), Some(file)) = (&mut self.writing, &self.file) else {
            return std::future::pending().await;
        };
        let outcome = file.ended(writing.await);
        self.writing = None;
        match outcome {
            Ok(position) => self.recorded = position.acknowledged,
            Err(fault) => {
                if let Some(notice) = self.fault.take() {
                    // Nobody listens once the session is over.
                    let _ = notice.send(fault);
                }
            }
        }
    }
}

impl RecordFault {
    /// Waits until a position cannot be recorded; for ever while all is well.
    pub async fn wait(&mut self) -> StateError {
        match (&mut self.0).await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::walsender::System;

    fn position(acknowledged: u64) -> Position {
        let system = System { id: 7, timeline: 1 };
        Position::new("s", "d", system, Lsn(acknowledged))
    }

    #[test]
    fn without_a_file_everything_is_recorded_at_once() {
        let (mut recorder, _fault) = Recorder::new(None, position(100), true);
        recorder.begin(Lsn(90));
        assert_eq!(recorder.recorded(), Lsn(100), "never before the start");
        recorder.begin(Lsn(110));
        assert_eq!(
            (recorder.recorded(), recorder.is_writing()),
            (Lsn(110), false)
        );
    }

    #[tokio::test]
    async fn a_position_counts_when_the_file_has_it() {
        let path = std::env::temp_dir().join(format!("pgevents-recorder-{}", std::process::id()));
        let file = StateFile::new(path.clone());
        let (mut recorder, _fault) = Recorder::new(Some(file.clone()), position(100), true);
        recorder.begin(Lsn(110));
        recorder.begin(Lsn(120));
        assert_eq!(recorder.recorded(), Lsn(100));
        recorder.written().await;
        assert_eq!(recorder.recorded(), Lsn(110));
        assert!(recorder.is_behind(Lsn(120)));
        assert_eq!(file.read("s", "d").expect("read"), Some(position(110)));
        fs::remove_file(path).expect("remove it");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said_once_and_nothing_more_counts() {
        let file = StateFile::new("/nonexistent/folder/state".into());
        let (mut recorder, mut fault) = Recorder::new(Some(file), position(100), true);
        recorder.begin(Lsn(110));
        recorder.written().await;
        assert!(matches!(fault.wait().await, StateError::Write { .. }));
        recorder.begin(Lsn(120));
        let state = (
            recorder.recorded(),
            recorder.is_behind(Lsn(120)),
            recorder.is_writing(),
        );
        assert_eq!(state, (Lsn(100), false, false));
    }

    #[tokio::test]
    async fn a_start_that_is_not_written_yet_is_written_with_the_first_progress() {
        let path = std::env::temp_dir().join(format!("pgevents-start-{}", std::process::id()));
        let file = StateFile::new(path.clone());
        let (mut recorder, _fault) = Recorder::new(Some(file.clone()), position(100), false);
        assert!(!recorder.is_behind(Lsn::INVALID));
        recorder.begin(Lsn(40));
        recorder.written().await;
        assert_eq!(file.read("s", "d").expect("read"), Some(position(100)));
        fs::remove_file(path).expect("remove it");
    }
}
