//! The memory of frames: PostgreSQL's own, so that a frame is sent from where it was written.

use std::{ptr, slice};

use pgevents_proto::{FrameBuffer, FrameEncoder, OutOfMemory};
use pgrx::pg_sys::{self, StringInfoData};

/// The frame that a session writes, in PostgreSQL's memory.
pub type Frame = FrameEncoder<FrameMemory>;

/// First allocation in bytes: a frame of usual size, with the row that passes the mark.
const FIRST_BYTES: usize = 64 * 1024;

/// Capacity that is kept from frame to frame, in bytes.
const KEPT_BYTES: usize = 1024 * 1024;

/// Most bytes of one allocation. Source: `MaxAllocSize` in PostgreSQL
/// `src/include/utils/memutils.h`; a StringInfo can hold no more.
const MAX_BYTES: usize = 0x3FFF_FFFF;

/// Memory in the decoding context that one frame after another is written into.
///
/// A frame of many large values is copied often enough on its way: [`FrameMemory::put`] hands the
/// whole allocation over and takes the other one for the next frame.
pub struct FrameMemory {
    context: pg_sys::MemoryContext,
    /// NULL while `capacity` is 0.
    start: *mut u8,
    capacity: usize,
    /// Bytes in front of the frame that belong to whoever sends it: the header of a walsender's
    /// message, or nothing in an SQL function.
    head: usize,
    /// Bytes of the frame.
    len: usize,
}

impl FrameMemory {
    /// # Safety
    ///
    /// `context` is that of the decoding context, and lives as long as this.
    pub(super) unsafe fn within(context: pg_sys::MemoryContext) -> Self {
        Self {
            context,
            start: ptr::null_mut(),
            capacity: 0,
            head: 0,
            len: 0,
        }
    }

    /// Puts the frame behind what stands in `out`, and is empty afterwards.
    ///
    /// # Safety
    ///
    /// `out` is a live StringInfo of the decoding context.
    pub(super) unsafe fn put(&mut self, out: *mut StringInfoData) {
        // SAFETY: by contract.
        let out = unsafe { &mut *out };
        let head = out.len as usize;
        if head != self.head || self.start.is_null() {
            // The first frame: who sends it, and with what header, is known only now.
            let frame = self.bytes();
            // SAFETY: the length fits, as `capacity` is at most `MAX_BYTES`.
            unsafe {
                pg_sys::appendBinaryStringInfo(out, frame.as_ptr().cast(), frame.len() as _);
            }
            self.clear();
            self.head = head;
            return;
        }
        // SAFETY: both allocations hold `head` bytes, and this one the frame behind them and one
        // more byte (see `spare`) for the NUL that a StringInfo has. Both are of the same memory
        // context, so either may grow or be freed in the place of the other.
        unsafe {
            ptr::copy_nonoverlapping(out.data.cast_const().cast(), self.start, head);
            *self.start.add(head + self.len) = 0;
        }
        let start = std::mem::replace(&mut out.data, self.start.cast()).cast();
        let capacity = std::mem::replace(&mut out.maxlen, self.capacity as _) as usize;
        out.len = (head + self.len) as _;
        (self.start, self.capacity, self.len) = (start, capacity, 0);
    }
}

impl FrameBuffer for FrameMemory {
    #[inline]
    fn bytes(&self) -> &[u8] {
        if self.start.is_null() {
            return &[];
        }
        // SAFETY: `head + len` bytes of the allocation have been written.
        unsafe { slice::from_raw_parts(self.start.add(self.head), self.len) }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        if self.start.is_null() {
            return &mut [];
        }
        // SAFETY: as above, and nobody else has a pointer into it.
        unsafe { slice::from_raw_parts_mut(self.start.add(self.head), self.len) }
    }

    #[inline]
    fn spare(&self) -> usize {
        self.capacity.saturating_sub(self.head + self.len + 1)
    }

    #[cold]
    fn grow(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let used = self.head + self.len;
        let needed = used.saturating_add(bytes).saturating_add(1);
        if needed > MAX_BYTES {
            return Err(OutOfMemory);
        }
        let capacity = needed.max(self.capacity * 2).clamp(FIRST_BYTES, MAX_BYTES);
        let flags = pg_sys::MCXT_ALLOC_NO_OOM as _;
        // SAFETY: the context is live; without memory the result is NULL and no ERROR. What was
        // used is copied, and the old allocation is not used afterwards.
        unsafe {
            let start = pg_sys::MemoryContextAllocExtended(self.context, capacity, flags);
            if start.is_null() {
                return Err(OutOfMemory);
            }
            if !self.start.is_null() {
                ptr::copy_nonoverlapping(self.start, start.cast(), used);
                pg_sys::pfree(self.start.cast());
            }
            (self.start, self.capacity) = (start.cast(), capacity);
        }
        Ok(())
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.spare(), "room was made before");
        // SAFETY: there is room behind the frame, in an allocation that `bytes` is not part of.
        unsafe {
            let end = self.start.add(self.head + self.len);
            ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
        }
        self.len += bytes.len();
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn clear(&mut self) {
        self.len = 0;
        if self.capacity > KEPT_BYTES {
            // SAFETY: allocated by `grow` or as a StringInfo's, and not used afterwards.
            unsafe { pg_sys::pfree(self.start.cast()) }
            (self.start, self.capacity) = (ptr::null_mut(), 0);
        }
    }
}
