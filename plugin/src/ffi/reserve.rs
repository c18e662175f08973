//! Memory of last resort: what Rust allocates without being able to fail.
//!
//! Rust aborts the process when such an allocation fails, and the server then ends all its
//! sessions. So the plugin's allocator hands out a reserve first, and the next callback after that
//! ends with PostgreSQL's own out-of-memory ERROR, which ends one session. Whatever may be large
//! (frames, rows, texts, the list of tables) is asked for in ways that can fail, and does not
//! depend on the reserve.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use pgrx::{PgSqlErrorCode, ereport};

/// Size of the reserve in bytes: more than the definition of the widest table takes, and what is
/// needed to raise an ERROR. Pages of it that are not used take no memory.
const BYTES: usize = 8 * 1024 * 1024;

/// Largest allocation in bytes that the reserve serves. What is larger is asked for in a way that
/// can fail, and shall fail.
const LARGEST: usize = 1024 * 1024;

/// The system's allocator, and a reserve for when that has nothing.
pub struct Reserve {
    memory: Memory,
    /// Bytes of `memory` that have been handed out.
    used: AtomicUsize,
    /// Allocations in `memory` that live.
    live: AtomicUsize,
}

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; BYTES]>);

// SAFETY: no part of it is handed out twice while it lives, see `take`.
unsafe impl Sync for Memory {}

#[global_allocator]
static ALLOCATOR: Reserve = Reserve {
    memory: Memory(UnsafeCell::new([0; BYTES])),
    used: AtomicUsize::new(0),
    live: AtomicUsize::new(0),
};

/// Raises PostgreSQL's out-of-memory ERROR if a part of the reserve is in use. It is given back as
/// the state that uses it is dropped, at the latest with the session.
#[inline]
pub fn raise_if_used() {
    if ALLOCATOR.live.load(Relaxed) > 0 {
        raise_out_of_memory();
    }
}

/// PostgreSQL's own out-of-memory ERROR. It ends this session, not the cluster; the next try may
/// find memory.
#[cold]
pub fn raise_out_of_memory() -> ! {
    let message = "pgevents: out of memory";
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, message);
}

impl Reserve {
    fn start(&self) -> *mut u8 {
        self.memory.0.get().cast()
    }

    fn has(&self, place: *mut u8) -> bool {
        (place.addr().wrapping_sub(self.start().addr())) < BYTES
    }

    /// The next part of the reserve; NULL when it is used up. A server process has one thread; if
    /// it had more, each would get a part of its own.
    #[cold]
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return ptr::null_mut();
        }
        let part = |used: usize| {
            let end = self.start().addr() + used;
            let padding = end.next_multiple_of(layout.align()) - end;
            let begin = used + padding;
            let end = begin.checked_add(layout.size())?;
            (end <= BYTES).then_some((begin, end))
        };
        let taken = self
            .used
            .fetch_update(Relaxed, Relaxed, |used| Some(part(used)?.1));
        let Some((begin, _)) = taken.ok().and_then(part) else {
            return ptr::null_mut();
        };
        self.live.fetch_add(1, Relaxed);
        // SAFETY: within the array, by `part`.
        unsafe { self.start().add(begin) }
    }

    #[cold]
    fn give_back(&self) {
        if self.live.fetch_sub(1, Relaxed) == 1 {
            self.used.store(0, Relaxed);
        }
    }
}

// SAFETY: what `take` hands out is aligned, is as large as asked for, and is handed out once until
// all that was handed out has been given back. Anything else is the system allocator's.
unsafe impl GlobalAlloc for Reserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by contract.
        let place = unsafe { System.alloc(layout) };
        match place.is_null() {
            true => self.take(layout),
            false => place,
        }
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match self.has(place) {
            true => self.give_back(),
            // SAFETY: by contract; it came from there.
            false => unsafe { System.dealloc(place, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.has(place) {
            // SAFETY: by contract; it came from there.
            let moved = unsafe { System.realloc(place, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: by contract `size` is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let moved = self.take(wanted);
        if !moved.is_null() {
            // SAFETY: both places are live and as large as this, and they do not overlap.
            unsafe {
                ptr::copy_nonoverlapping(place, moved, layout.size().min(size));
                self.dealloc(place, layout);
            }
        }
        moved
    }
}
