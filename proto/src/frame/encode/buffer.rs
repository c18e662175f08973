use super::OutOfMemory;

/// Capacity that a cleared buffer keeps, in bytes: one huge row must not pin its memory for the
/// rest of the session.
const KEPT_BYTES: usize = 1024 * 1024;

/// Memory that frames are written into, one after another. The plugin writes them where PostgreSQL
/// sends them from.
pub trait FrameBuffer {
    /// What has been written.
    fn bytes(&self) -> &[u8];

    /// The same, to fill in lengths.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Bytes that can be appended before it has to grow.
    fn spare(&self) -> usize;

    /// Makes room for at least `bytes` more.
    ///
    /// # Errors
    ///
    /// There is no memory; what has been written is as it was.
    fn grow(&mut self, bytes: usize) -> Result<(), OutOfMemory>;

    /// Appends bytes for which there is room.
    fn append(&mut self, bytes: &[u8]);

    /// Forgets everything after the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// Forgets everything, and gives back the memory of an unusually large frame.
    fn clear(&mut self);
}

impl FrameBuffer for Vec<u8> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn spare(&self) -> usize {
        self.capacity() - self.len()
    }

    #[cold]
    fn grow(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.try_reserve(bytes).map_err(|_| OutOfMemory)
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        Vec::truncate(self, len);
    }

    fn clear(&mut self) {
        Vec::clear(self);
        if self.capacity() > KEPT_BYTES {
            *self = Self::new();
        }
    }
}
