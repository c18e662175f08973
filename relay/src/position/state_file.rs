use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pgevents_proto::Lsn;
use tokio::task::{JoinError, spawn_blocking};

use super::Position;
use crate::{
    exit::{Exit, Fate},
    walsender::System,
};

/// First line of the file: what it is, and the version of its form.
const HEADER: &str = "pgevents state 1";

/// Longest file that is read, in bytes. The relay writes a quarter of it at most.
const LONGEST: u64 = 4096;

/// The file that keeps a [`Position`] across restarts.
///
/// Six lines of text, `name value` after the header, and a check of them all; whole or not there,
/// since a new one is written beside it, brought to the disk, and put in its place by a rename. One
/// file belongs to one slot; relays that stand by for each other share it or have none.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
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
            Self::Read { .. } | Self::Damaged { .. } | Self::Foreign { .. } => {
                Fate::Stop(Exit::Configuration)
            }
        }
    }
}

impl StateFile {
    /// The file at `path`, which need not exist; its folder must.
    pub fn new(path: PathBuf) -> Self {
        let turn = Arc::default();
        Self { path, turn }
    }

    /// What was last written; `None`: there is no file yet.
    ///
    /// # Errors
    ///
    /// It cannot be read, is damaged, or belongs to another slot or database.
    pub fn read(&self, slot: &str, database: &str) -> Result<Option<Position>, StateError> {
        let mut text = String::new();
        let read =
            File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        let path = || self.path.clone();
        match read {
            Ok(_) => {}
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
        }
        let position = parse(&text).map_err(|fault| StateError::Damaged {
            path: path(),
            fault,
        })?;
        let database = database.escape_default().to_string();
        if position.slot != slot || position.database != database {
            return Err(StateError::Foreign {
                path: path(),
                slot: position.slot,
                database: position.database,
            });
        }
        Ok(Some(position))
    }

    /// Puts `position` in the place of what is there; it is on the disk when this returns. Blocks.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`]; the file is whole, with the old position or with this one.
    pub fn write(&self, position: &Position) -> Result<(), StateError> {
        self.write_if(position, || true)
    }

    /// Looks whether a position could be written, and leaves nothing behind. Blocks.
    ///
    /// # Errors
    ///
    /// It could not.
    pub fn probe(&self) -> Result<(), StateError> {
        let _turn = self.turn();
        let beside = self.beside();
        let probed = write_through(&beside, HEADER).and_then(|()| fs::remove_file(&beside));
        probed.map_err(|source| self.unwritable(source))
    }

    /// [`StateFile::write`] beside the event loop.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn save(&self, position: Position) -> Result<(), StateError> {
        let file = self.clone();
        self.ended(spawn_blocking(move || file.write(&position)).await)
    }

    /// How a write beside the event loop ended; a panic there is a write that failed.
    pub(super) fn ended<T>(
        &self,
        joined: Result<Result<T, StateError>, JoinError>,
    ) -> Result<T, StateError> {
        joined.unwrap_or_else(|error| Err(self.unwritable(io::Error::other(error))))
    }

    /// [`StateFile::write`], if it is still wanted when it is this write's turn.
    pub(super) fn write_if(
        &self,
        position: &Position,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(), StateError> {
        let _turn = self.turn();
        if !wanted() {
            return Ok(());
        }
        let beside = self.beside();
        let replaced = write_through(&beside, &print(position)).and_then(|()| self.put(&beside));
        replaced.map_err(|source| {
            // What could not be finished is of no use; if it cannot be removed either, the next
            // write starts over in it.
            let _ = fs::remove_file(&beside);
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

    /// Puts the new file in the place of the old one.
    fn put(&self, beside: &Path) -> io::Result<()> {
        fs::rename(beside, &self.path)?;
        // The rename itself is on the disk when the folder is.
        let folder = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Where a new file is made ready.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }
}

/// Writes a file that is on the disk when this returns.
fn write_through(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn print(position: &Position) -> String {
    let Position {
        slot,
        database,
        system,
        acknowledged,
    } = position;
    let mut text = format!(
        "{HEADER}\nslot {slot}\ndatabase {database}\nsystem {}\ntimeline {}\nacknowledged \
         {acknowledged}\n",
        system.id, system.timeline
    );
    let check = check(&text);
    text.push_str(&format!("check {check:016x}\n"));
    text
}

fn parse(text: &str) -> Result<Position, &'static str> {
    const HALF: &str = "it is not complete";
    let body = text.strip_suffix('\n').ok_or(HALF)?;
    let (body, last) = body.rsplit_once('\n').ok_or(HALF)?;
    let body = &text[..body.len() + 1];
    let mut lines = body.lines();
    if lines.next() != Some(HEADER) {
        return Err("it is no state file of this version");
    }
    let written = last.strip_prefix("check ").ok_or(HALF)?;
    if written != format!("{:016x}", check(body)) {
        return Err("its check does not fit");
    }
    let mut value = |name: &str| {
        let line = lines.next().ok_or(HALF)?;
        let rest = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(' '));
        rest.ok_or("a line is missing")
    };
    let (slot, database) = (value("slot")?, value("database")?);
    let (id, timeline) = (value("system")?, value("timeline")?);
    let acknowledged: Lsn = value("acknowledged")?
        .parse()
        .map_err(|_| "its position is none")?;
    let system = System {
        id: id.parse().map_err(|_| "its system is none")?,
        timeline: timeline.parse().map_err(|_| "its timeline is none")?,
    };
    Ok(Position {
        slot: slot.to_owned(),
        database: database.to_owned(),
        system,
        acknowledged,
    })
}

/// FNV-1a of 64 bits: it finds what disks and editors do to a file; nobody has a reason to forge it.
fn check(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        Position::new("shop_events", "sh\nop ü", system, Lsn(acknowledged))
    }

    #[test]
    fn what_was_written_last_is_read_and_nothing_else_stays_in_the_folder() {
        let folder = folder("round_trip");
        let file = StateFile::new(folder.join("state"));
        assert!(matches!(file.read("shop_events", "sh\nop ü"), Ok(None)));
        for acknowledged in [1, u64::MAX, 0x16_00B3_74D8] {
            let position = position(acknowledged);
            file.write(&position).expect("written");
            let read = file.read("shop_events", "sh\nop ü").expect("read");
            assert_eq!(read, Some(position));
        }
        assert_eq!(fs::read_dir(&folder).expect("list").count(), 1);
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_damaged() {
        let text = print(&position(0x16_00B3_74D8));
        assert_eq!(parse(&text), Ok(position(0x16_00B3_74D8)));
        for length in 0..text.len() {
            assert!(parse(&text[..length]).is_err(), "cut at {length}");
        }
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let changed = String::from_utf8(bytes).expect("still ASCII");
            assert!(parse(&changed).is_err(), "changed at {place}: {changed}");
        }
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
    fn the_file_of_another_slot_is_refused() {
        let folder = folder("foreign");
        let file = StateFile::new(folder.join("state"));
        file.write(&position(1)).expect("written");
        let fault = file.read("shop_events", "shop").expect_err("refused");
        assert!(fault.to_string().contains("\"shop_events\""), "{fault}");
        assert_eq!(fault.fate(), Fate::Stop(Exit::Configuration));
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_write_that_fails_changes_nothing() {
        let folder = folder("unwritable");
        let file = StateFile::new(folder.join("state"));
        file.write(&position(1)).expect("written");
        // A folder in its place stops the new file, for root too.
        fs::create_dir(folder.join("state.new")).expect("make a folder");
        let fault = file.write(&position(2)).expect_err("refused");
        assert_eq!(fault.fate(), Fate::Stop(Exit::Configuration), "{fault}");
        let read = file.read("shop_events", "sh\nop ü").expect("read");
        assert_eq!(read, Some(position(1)));
        fs::remove_dir_all(folder).expect("remove it");
    }

    #[test]
    fn a_full_disk_is_tried_again() {
        // Every write to this device fails as on a full disk.
        let text = print(&position(1));
        let source = File::create("/dev/full")
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect_err("full");
        let path = PathBuf::from("state");
        assert_eq!(StateError::Write { path, source }.fate(), Fate::Retry);
    }
}
