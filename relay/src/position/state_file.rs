use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, LocalDisk, Position, state_text};
use crate::exit::{Exit, Fate};

/// Longest file that is read, in bytes. The relay writes a quarter of it at most.
const LONGEST: u64 = 4096;

/// The file that keeps a [`Position`] across restarts.
///
/// A few lines of text, `name value` after the header, and a check of them all; whole or not there,
/// since a new one is written beside it, brought to the disk, and put in its place by a rename. One
/// file belongs to one slot; relays that stand by for each other share it or have none.
#[derive(Clone, Debug)]
pub struct StateFile<D = LocalDisk> {
    path: PathBuf,
    disk: D,
    /// Held while a new file is made: a write that a session left behind is over before the next
    /// session writes.
    turn: Arc<Mutex<()>>,
}

/// Why the file cannot be used; the file and the slot are as they were. [`StateError::fate`] says
/// what happens next.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is there and cannot be read; stop.
    #[error("read the state file {path} (check PGEVENTS_STATE_FILE and the rights to it)")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what the relay wrote; stop, since guessing a position could lose changes.
    #[error(
        "the state file {path} is damaged ({fault}): put back a good copy, or remove it to go on \
         from where the slot stands"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It is the file of another slot or database; stop.
    #[error(
        "the state file {path} belongs to slot {slot:?} of database {database:?}: name another file \
         in PGEVENTS_STATE_FILE"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The slot in it.
        slot: String,
        /// The database in it.
        database: String,
    },
    /// It has a later position, which another relay has written; try again, when that one is done.
    #[error("the state file {path} has a later position: another relay that shares it went on")]
    Overtaken {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written, so nothing more is acknowledged. Stop if only an operator can change
    /// that; a full disk is tried again.
    #[error(
        "write the state file {path} (nothing is acknowledged without it; check PGEVENTS_STATE_FILE, \
         the rights of its folder, and the room on its disk)"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateError {
    /// What the relay does about it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem => Fate::Stop(Exit::Configuration),
                _ => Fate::Retry,
            },
            Self::Overtaken { .. } => Fate::Retry,
            Self::Read { .. } | Self::Damaged { .. } | Self::Foreign { .. } => {
                Fate::Stop(Exit::Configuration)
            }
        }
    }
}

impl StateFile {
    /// The file at `path` on this machine, which need not exist; its folder must.
    pub fn new(path: PathBuf) -> Self {
        Self::on(LocalDisk, path)
    }
}

impl<D: Disk> StateFile<D> {
    /// The file at `path` of `disk`, which need not exist; its folder must.
    pub fn on(disk: D, path: PathBuf) -> Self {
        let turn = Arc::default();
        Self { path, disk, turn }
    }

    /// What was last written; `None`: there is no file yet.
    ///
    /// # Errors
    ///
    /// It cannot be read, is damaged, or belongs to another slot or database.
    pub fn read(&self, slot: &str, database: &str) -> Result<Option<Position>, StateError> {
        let Some(position) = self.read_any()? else {
            return Ok(None);
        };
        let database = database.escape_default().to_string();
        if position.slot != slot || position.database != database {
            return Err(StateError::Foreign {
                path: self.path.clone(),
                slot: position.slot,
                database: position.database,
            });
        }
        Ok(Some(position))
    }

    /// What was last written, of whatever slot.
    fn read_any(&self) -> Result<Option<Position>, StateError> {
        let path = || self.path.clone();
        let text = match self.disk.read(&self.path, LONGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let fault = "it is no text";
                return Err(StateError::Damaged {
                    path: path(),
                    fault,
                });
            }
            Err(source) => {
                return Err(StateError::Read {
                    path: path(),
                    source,
                });
            }
        };
        let position = state_text::parse(&text).map_err(|fault| StateError::Damaged {
            path: path(),
            fault,
        })?;
        Ok(Some(position))
    }

    /// Looks whether a position could be written, and leaves nothing behind. Blocks.
    ///
    /// # Errors
    ///
    /// It could not.
    pub fn probe(&self) -> Result<(), StateError> {
        let _turn = self.turn();
        let beside = self.beside();
        let written = self.disk.write(&beside, state_text::HEADER);
        let probed = written.and_then(|()| self.disk.remove(&beside));
        probed.map_err(|source| self.unwritable(source))
    }

    /// Puts `position` in the place of what is there, beside the event loop; it is on the disk when
    /// this returns. With `back`, a later position may be there too, which is then given up.
    ///
    /// # Errors
    ///
    /// A later position is there, or [`StateError::Write`]; the file is whole, with the old
    /// position or with this one.
    pub async fn save(&self, position: Position, back: bool) -> Result<(), StateError> {
        let file = self.clone();
        let writing = self
            .disk
            .beside(move || file.write_if(&position, back, || true));
        self.ended(writing.await)
    }

    /// Where the file is kept.
    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    /// How a write beside the event loop ended; one that did not come to its end has failed.
    pub(super) fn ended<T>(
        &self,
        ended: io::Result<Result<T, StateError>>,
    ) -> Result<T, StateError> {
        ended.unwrap_or_else(|error| Err(self.unwritable(error)))
    }

    /// [`StateFile::save`] that blocks, if it is still wanted when it is this write's turn.
    /// Without `back`, never in the place of a later position.
    pub(super) fn write_if(
        &self,
        position: &Position,
        back: bool,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(), StateError> {
        let _turn = self.turn();
        if !wanted() {
            return Ok(());
        }
        // A relay that stood still may not know that another one, which shares the file, went on.
        let later = |there: Position| there.is_further_than(position);
        if !back && self.read_any().ok().flatten().is_some_and(later) {
            return Err(StateError::Overtaken {
                path: self.path.clone(),
            });
        }
        self.replace(position)
    }

    fn replace(&self, position: &Position) -> Result<(), StateError> {
        let beside = self.beside();
        let written = self.disk.write(&beside, &state_text::print(position));
        let replaced = written.and_then(|()| self.disk.rename(&beside, &self.path));
        replaced.map_err(|source| {
            // What could not be finished is of no use; if it cannot be removed either, the next
            // write starts over in it.
            let _ = self.disk.remove(&beside);
            self.unwritable(source)
        })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritable(&self, source: io::Error) -> StateError {
        let path = self.path.clone();
        StateError::Write { path, source }
    }

    /// Where a new file is made ready.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, io::Write};

    use pgevents_proto::Lsn;

    use super::*;
    use crate::position::System;

    /// A folder of one test's own, empty.
    fn folder(test: &str) -> PathBuf {
        let name = format!("pgevents-state-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("make a folder");
        folder
    }

    fn position(acknowledged: u64) -> Position {
        let system = System {
            id: 7_123_456_789_012_345_678,
            timeline: 3,
        };
        Position::new("shop_events", "sh\nop ü", system, Lsn(acknowledged).into())
    }

    #[test]
    fn what_was_written_last_is_read_and_nothing_else_stays_in_the_folder() {
        let folder = folder("round_trip");
        let file = StateFile::new(folder.join("state"));
        assert!(matches!(file.read("shop_events", "sh\nop ü"), Ok(None)));
        for acknowledged in [1, u64::MAX, 0x16_00B3_74D8] {
            let position = position(acknowledged);
            file.write_if(&position, true, || true).expect("written");
            let read = file.read("shop_events", "sh\nop ü").expect("read");
            assert_eq!(read, Some(position));
        }
        assert_eq!(fs::read_dir(&folder).expect("list").count(), 1);
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn bytes_that_are_no_text_and_files_without_end_are_damaged() {
        let folder = folder("damaged");
        let file = StateFile::new(folder.join("state"));
        for bytes in [vec![0xff; 10], vec![b'\n'; 1 << 20], Vec::new()] {
            fs::write(folder.join("state"), bytes).expect("written");
            let read = file.read("s", "d");
            assert!(matches!(read, Err(StateError::Damaged { .. })), "{read:?}");
        }
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_later_position_of_the_same_stream_stays_unless_it_is_given_up() {
        let folder = folder("overtaken");
        let file = StateFile::new(folder.join("state"));
        let write = |acknowledged, back| file.write_if(&position(acknowledged), back, || true);
        write(20, false).expect("written");
        let fault = write(10, false).expect_err("refused");
        assert_eq!(fault.fate(), Fate::Retry);
        write(20, false).expect("the same again");
        write(10, true).expect("given up");
        let read = file.read("shop_events", "sh\nop ü").expect("read");
        assert_eq!(read, Some(position(10)));
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn the_file_of_another_slot_is_refused() {
        let folder = folder("foreign");
        let file = StateFile::new(folder.join("state"));
        file.write_if(&position(1), true, || true).expect("written");
        let fault = file.read("shop_events", "shop").expect_err("refused");
        assert!(fault.to_string().contains("\"shop_events\""), "{fault}");
        assert_eq!(fault.fate(), Fate::Stop(Exit::Configuration));
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_write_that_fails_changes_nothing() {
        let folder = folder("unwritable");
        let file = StateFile::new(folder.join("state"));
        file.write_if(&position(1), true, || true).expect("written");
        // A folder in its place stops the new file, for root too.
        fs::create_dir(folder.join("state.new")).expect("make a folder");
        let fault = file
            .write_if(&position(2), true, || true)
            .expect_err("refused");
        assert_eq!(fault.fate(), Fate::Stop(Exit::Configuration), "{fault}");
        let read = file.read("shop_events", "sh\nop ü").expect("read");
        assert_eq!(read, Some(position(1)));
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_full_disk_is_tried_again() {
        // Every write to this device fails as on a full disk.
        let text = state_text::print(&position(1));
        let source = File::create("/dev/full")
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect_err("full");
        let path = PathBuf::from("state");
        assert_eq!(StateError::Write { path, source }.fate(), Fate::Retry);
    }
}
