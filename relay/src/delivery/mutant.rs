//! Faults on purpose, one for each way to break the promise: `cargo dev mutants` plants them one
//! after the other and names the check that catches it. A fault is a feature of Cargo that no build
//! that ships turns on; without it the constant is false, and the compiler leaves nothing of it.

use pgevents_proto::Lsn;

/// A position is acknowledged because a row with it was read, not because its commit is safe.
pub const ACK_ROW_LSN: bool = cfg!(feature = "mutant-ack-row-lsn");
/// A message counts as confirmed when it is written.
pub const ACK_BEFORE_CONFIRM: bool = cfg!(feature = "mutant-ack-before-confirm");
/// The server's position is acknowledged while messages are on their way.
pub const ACK_KEEPALIVE_IN_FLIGHT: bool = cfg!(feature = "mutant-ack-keepalive-in-flight");
/// A nack counts as a confirm.
pub const IGNORE_NACK: bool = cfg!(feature = "mutant-ignore-nack");
/// A message that came back counts as confirmed.
pub const IGNORE_RETURN: bool = cfg!(feature = "mutant-ignore-return");
/// A confirm counts for every message before it.
pub const ACK_MAXIMUM: bool = cfg!(feature = "mutant-ack-maximum");
/// A row that is not behind the last one counts as known.
pub const DEDUPE_BY_ROW_LSN: bool = cfg!(feature = "mutant-dedupe-by-row-lsn");
/// A commit does not wait for the last row of its transaction.
pub const FORGET_LAST_ROW: bool = cfg!(feature = "mutant-forget-last-row");
/// A session starts one byte behind what was acknowledged.
pub const RESUME_PAST: bool = cfg!(feature = "mutant-resume-past");
/// A transaction goes on after a reconnect where the last session left it.
pub const SPLIT_TRANSACTION: bool = cfg!(feature = "mutant-split-transaction");
/// A frame that cannot be decoded is left out.
pub const SWALLOW_DECODE_ERROR: bool = cfg!(feature = "mutant-swallow-decode-error");
/// The window counts unconfirmed messages, wherever they are.
pub const WINDOW_WITHOUT_SPAN: bool = cfg!(feature = "mutant-window-without-span");
/// Progress is reported by the task that publishes, so not while that waits.
pub const STATUS_FROM_PUBLISHER: bool = cfg!(feature = "mutant-status-from-publisher");

/// What [`SPLIT_TRANSACTION`] and [`DEDUPE_BY_ROW_LSN`] remember.
#[derive(Debug, Default)]
pub struct Memory {
    transaction: Lsn,
    index: u64,
    /// How far the last session came.
    left: (Lsn, u64),
    row: Lsn,
}

impl Memory {
    /// A session starts.
    pub fn session(&mut self) {
        if SPLIT_TRANSACTION {
            self.left = (self.transaction, self.index);
        }
        self.row = Lsn::INVALID;
    }

    /// A transaction begins.
    pub fn begin(&mut self, end_lsn: Lsn) {
        (self.transaction, self.index) = (end_lsn, 0);
    }

    /// Whether a change is left out, which a relay without a fault never does.
    pub fn leaves_out(&mut self, index: u64, received: Lsn) -> bool {
        if SPLIT_TRANSACTION {
            self.index = index + 1;
            let (transaction, next) = self.left;
            return self.transaction == transaction && index < next;
        }
        if DEDUPE_BY_ROW_LSN {
            let known = received <= self.row;
            self.row = self.row.max(received);
            return known;
        }
        false
    }
}
