//! Looking into the catalog needs a transaction.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;

/// Runs `work`, which looks into the catalog, in the transaction that is open, or in one of its
/// own. What it allocates lives in the current memory context either way.
pub(super) fn in_transaction<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: reads the backend's state.
    if unsafe { pg_sys::IsTransactionState() } {
        return work();
    }
    // SAFETY: outside of a transaction a callback may start one, as the reorder buffer does. Memory
    // context and resource owner are put back as they were.
    unsafe {
        let memory = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        let restore = || {
            pg_sys::CurrentMemoryContext = memory;
            pg_sys::CurrentResourceOwner = owner;
        };
        pg_sys::StartTransactionCommand();
        pg_sys::CurrentMemoryContext = memory;
        let outcome = catch_unwind(AssertUnwindSafe(work));
        if outcome.is_ok() {
            pg_sys::CommitTransactionCommand();
        } else {
            pg_sys::AbortCurrentTransaction();
        }
        restore();
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    }
}
