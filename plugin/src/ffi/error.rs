//! ERRORs of PostgreSQL's, which arrive as panics: which are about a value, and which about the
//! server.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use pgrx::pg_sys::{self, panic::CaughtError};

/// Runs `read`, which calls a type's code, and says `None` if that raised an ERROR that is about
/// the value. What is about the server (cancel, shutdown, resources) is raised on.
///
/// Going on without a subtransaction is sound here: the reorder buffer aborts the transaction that
/// it replays in, always, and that releases whatever the failed call left open.
#[inline]
pub fn unless_error<R>(read: impl FnOnce() -> R) -> Option<R> {
    // SAFETY: reading the current context is always sound.
    let memory = unsafe { pg_sys::CurrentMemoryContext };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(value) => Some(value),
        Err(payload) => {
            rethrow_unless_about_the_value(payload);
            // SAFETY: `memory` was current when the call began and has not been deleted by it;
            // locks that the failed call held are not wanted by anything in this callback.
            unsafe {
                pg_sys::LWLockReleaseAll();
                pg_sys::MemoryContextSwitchTo(memory);
            }
            None
        }
    }
}

/// pgrx turns an ERROR of PostgreSQL's into a panic with a `CaughtError`; any other panic is a bug
/// of this plugin.
#[cold]
fn rethrow_unless_about_the_value(payload: Box<dyn Any + Send>) {
    match payload.downcast::<CaughtError>().map(|caught| *caught) {
        Ok(CaughtError::PostgresError(report))
            if !is_about_the_server(report.sql_error_code() as i32) => {}
        Ok(caught) => caught.rethrow(),
        Err(payload) => resume_unwind(payload),
    }
}

/// Whether an SQLSTATE is of class 57 (operator intervention), 53 (insufficient resources) or 40
/// (rollback), or 58030 (I/O error) or 55P03 (a lock is not to be had): what passes, so that the
/// value can be read another time. Source: PostgreSQL docs, "Error Codes"; `MAKE_SQLSTATE` packs
/// six bits a character.
fn is_about_the_server(sqlstate: i32) -> bool {
    let packed = |code: &[u8]| {
        let digits = code.iter().rev();
        digits.fold(0, |sum, &digit| sum << 6 | i32::from(digit - b'0'))
    };
    [b"57", b"53", b"40"]
        .map(|class| packed(class))
        .contains(&(sqlstate & 0xFFF))
        || [b"58030", b"55P03"]
            .map(|code| packed(code))
            .contains(&sqlstate)
}

/// Ends this backend's work if somebody has asked for that: a cancel, a shutdown, a timeout. In
/// every loop whose length somebody else decides.
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}
