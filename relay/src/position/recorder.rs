use std::{fmt, io, pin::Pin, sync::Arc};

use tokio::sync::oneshot;

use pgevents_proto::Lsn;

use super::{Disk, LocalDisk, Position, StateError, StateFile};
use crate::delivery::Acknowledged;

/// A position on its way to the disk.
type Writing = Pin<Box<dyn Future<Output = io::Result<Result<Position, StateError>>> + Send>>;

/// Brings positions to the state file before they are acknowledged, one at a time and beside the
/// event loop: a disk may take its time, while the server still gets its signs of life.
pub struct Recorder<D = LocalDisk> {
    /// `None`: nothing to write, so every position counts as recorded.
    file: Option<StateFile<D>>,
    /// What is written; its position is the one written last.
    position: Position,
    /// Where the stream starts, with what was known then.
    start: Acknowledged,
    /// The furthest that was to be acknowledged in this session.
    asked: Acknowledged,
    /// The furthest that may be acknowledged.
    recorded: Acknowledged,
    /// Whether the file has yet to be brought to where the stream starts, which may be before what
    /// is there.
    unwritten: bool,
    writing: Option<Writing>,
    fault: Option<oneshot::Sender<StateError>>,
    /// Lives as long as the session: what it leaves behind is not written any more.
    session: Arc<()>,
}

/// Where a [`Recorder`] says that it cannot write.
#[derive(Debug)]
pub struct RecordFault(oneshot::Receiver<StateError>);

impl<D: Disk> Recorder<D> {
    /// A recorder for a stream from `from` on, when `position` has arrived, which may lie further
    /// on. While the state file does not say so yet (`written` is false), the first position that
    /// is recorded brings it there.
    pub fn new(
        file: Option<StateFile<D>>,
        position: Position,
        from: Lsn,
        written: bool,
    ) -> (Self, RecordFault) {
        let (fault, notice) = oneshot::channel();
        let arrived = position.acknowledged;
        let start = Acknowledged {
            wal: from,
            ..arrived
        };
        let recorder = Self {
            file,
            position,
            start,
            asked: Acknowledged::default(),
            recorded: match written {
                true => arrived,
                false => Acknowledged::default(),
            },
            unwritten: !written,
            writing: None,
            fault: Some(fault),
            session: Arc::default(),
        };
        (recorder, RecordFault(notice))
    }

    /// What may be acknowledged now: never before the start of the stream, as the server's position
    /// may be for as long as it reads old WAL, and never what has not come in this session, as the
    /// server may have another history than the one in which it arrived.
    pub fn recorded(&self) -> Acknowledged {
        Acknowledged {
            copied: self.asked.copied.min(self.recorded.copied),
            wal: self.asked.wal.min(self.recorded.wal),
            commit: self.recorded.commit,
        }
        .max(self.start)
    }

    /// Everything up to `acknowledged` has arrived, and has come in this session.
    pub fn reach(&mut self, acknowledged: Acknowledged) {
        self.asked = self.asked.max(acknowledged);
    }

    /// Whether `acknowledged` is not recorded yet, though it could be.
    pub fn is_behind(&self, acknowledged: Acknowledged) -> bool {
        acknowledged != Acknowledged::default()
            && acknowledged.max(self.start).is_beyond(self.recorded)
            && self.fault.is_some()
    }

    /// Whether a position is on its way to the disk.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Starts to record `acknowledged`, unless another position is on its way or there is nothing
    /// to do.
    pub fn begin(&mut self, acknowledged: Acknowledged) {
        self.reach(acknowledged);
        if !self.is_behind(acknowledged) || self.is_writing() {
            return;
        }
        let acknowledged = acknowledged.max(self.start);
        let Some(file) = self.file.clone() else {
            self.recorded = acknowledged;
            return;
        };
        let position = Position {
            acknowledged,
            ..self.position.clone()
        };
        let session = Arc::downgrade(&self.session);
        let disk = file.disk().clone();
        let back = self.unwritten;
        self.writing = Some(Box::pin(disk.beside(move || {
            let written = file.write_if(&position, back, || session.strong_count() > 0);
            written.map(|()| position)
        })));
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
            Ok(position) => {
                self.recorded = position.acknowledged;
                self.unwritten = false;
            }
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

    /// Why the last position could not be recorded; `None`: it could, or that was said before.
    pub fn take(&mut self) -> Option<StateError> {
        self.0.try_recv().ok()
    }
}

impl<D> fmt::Debug for Recorder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("position", &self.position)
            .field("recorded", &self.recorded)
            .field("writing", &self.writing.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::position::System;

    fn at(wal: u64) -> Acknowledged {
        Lsn(wal).into()
    }

    fn position(acknowledged: u64) -> Position {
        let system = System { id: 7, timeline: 1 };
        Position::new("s", "d", system, at(acknowledged))
    }

    #[test]
    fn without_a_file_everything_is_recorded_at_once() {
        let (mut recorder, _fault) =
            Recorder::<LocalDisk>::new(None, position(100), Lsn(100), true);
        recorder.begin(at(90));
        assert_eq!(recorder.recorded(), at(100), "never before the start");
        recorder.begin(at(110));
        assert_eq!(
            (recorder.recorded(), recorder.is_writing()),
            (at(110), false)
        );
    }

    #[test]
    fn what_arrived_earlier_is_acknowledged_as_it_comes_again() {
        let file = StateFile::new("/nonexistent/folder/state".into());
        let (mut recorder, _fault) = Recorder::new(Some(file), position(100), Lsn(60), true);
        assert_eq!(recorder.recorded(), at(60));
        for known in [80, 100] {
            recorder.begin(at(known));
            let state = (recorder.recorded(), recorder.is_writing());
            assert_eq!(state, (at(known), false), "the file has it");
        }
    }

    #[tokio::test]
    async fn a_position_counts_when_the_file_has_it() {
        let path = std::env::temp_dir().join(format!("pgevents-recorder-{}", std::process::id()));
        let file = StateFile::new(path.clone());
        let (mut recorder, _fault) =
            Recorder::new(Some(file.clone()), position(100), Lsn(100), true);
        recorder.begin(at(110));
        recorder.begin(at(120));
        assert_eq!(recorder.recorded(), at(100));
        recorder.written().await;
        assert_eq!(recorder.recorded(), at(110));
        assert!(recorder.is_behind(at(120)));
        assert_eq!(file.read("s", "d").expect("read"), Some(position(110)));
        fs::remove_file(path).expect("remove it");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said_once_and_nothing_more_counts() {
        let file = StateFile::new("/nonexistent/folder/state".into());
        let (mut recorder, mut fault) = Recorder::new(Some(file), position(100), Lsn(100), true);
        recorder.begin(at(110));
        recorder.written().await;
        assert!(matches!(fault.wait().await, StateError::Write { .. }));
        recorder.begin(at(120));
        let state = (
            recorder.recorded(),
            recorder.is_behind(at(120)),
            recorder.is_writing(),
        );
        assert_eq!(state, (at(100), false, false));
    }

    #[tokio::test]
    async fn a_start_that_is_not_written_yet_is_written_with_the_first_progress() {
        let path = std::env::temp_dir().join(format!("pgevents-start-{}", std::process::id()));
        let file = StateFile::new(path.clone());
        let (mut recorder, _fault) =
            Recorder::new(Some(file.clone()), position(100), Lsn(100), false);
        assert!(!recorder.is_behind(at(0)));
        recorder.begin(at(40));
        recorder.written().await;
        assert_eq!(file.read("s", "d").expect("read"), Some(position(100)));
        fs::remove_file(path).expect("remove it");
    }
}
