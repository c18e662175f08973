//! PostgreSQL's memory contexts.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::{
    encoding::{Encoding, ascii, from_utf8, to_utf8},
    error::unless_error,
};

/// A memory context of PostgreSQL's that is deleted with its parent, or before.
pub struct MemoryContext(pub(super) pg_sys::MemoryContext);

impl MemoryContext {
    /// # Safety
    ///
    /// `parent` is live.
    pub(super) unsafe fn below(parent: pg_sys::MemoryContext, name: &'static CStr) -> Self {
        // SAFETY: by contract; the sizes are ALLOCSET_SMALL_SIZES with a larger maximum.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(parent, name.as_ptr(), 0, 1024, 8 * 1024 * 1024)
        })
    }

    /// A context below this one.
    pub fn child(&self, name: &'static CStr) -> Self {
        // SAFETY: the parent is live as long as the session.
        unsafe { Self::below(self.0, name) }
    }

    /// Deletes it with everything in it. Not on drop: when a whole session goes, its memory is gone
    /// before its state is.
    pub fn delete(self) {
        // SAFETY: taken by value, so nobody can use it afterwards.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }

    /// Runs `work` with this as the current context.
    #[inline]
    pub fn scope<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Restore(pg_sys::MemoryContext);
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: it was current when the scope began and outlives the scope.
                unsafe { pg_sys::CurrentMemoryContext = self.0 }
            }
        }
        // SAFETY: the context is live; setting the variable is what MemoryContextSwitchTo does.
        let _restore = unsafe {
            let previous = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.0;
            Restore(previous)
        };
        work()
    }

    /// A text of the database's encoding as UTF-8; `None` if it is no such text.
    pub fn utf8<'a>(&'a self, text: &'a [u8]) -> Option<&'a [u8]> {
        // SAFETY: the result lives in this context, which cannot be reset while it is borrowed.
        self.scope(|| unless_error(|| unsafe { to_utf8(text) }))
    }

    /// UTF-8 as a text of the database's encoding; what that lacks becomes a question mark.
    pub fn server_text<'a>(&'a self, text: &'a str) -> &'a [u8] {
        if text.is_ascii() || Encoding::of_database().0 == Encoding::AsIs {
            return text.as_bytes();
        }
        // SAFETY: as above.
        self.scope(|| unsafe { unless_error(|| from_utf8(text)).unwrap_or_else(|| ascii(text)) })
    }

    /// Frees everything in it, if there is anything.
    #[inline]
    pub fn reset(&mut self) {
        // SAFETY: nothing that was allocated in it is used afterwards: rows borrow it only inside
        // of one change. `isReset` is what MemoryContextReset checks first.
        unsafe {
            if !(*self.0).isReset {
                pg_sys::MemoryContextReset(self.0);
            }
        }
    }
}
