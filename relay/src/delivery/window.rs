/// How much may be on its way without a confirmation. It bounds the relay's memory, whatever the
/// size of a transaction, and what a crash repeats.
#[derive(Debug)]
pub struct Window {
    limit_messages: u64,
    limit_bytes: u64,
    bytes: u64,
}

impl Window {
    /// An empty window with limits in messages and in bytes of their bodies.
    pub fn new(limit_messages: u64, limit_bytes: u64) -> Self {
        Self {
            limit_messages,
            limit_bytes,
            bytes: 0,
        }
    }

    /// Whether one more event may go behind `messages` others, counted from the oldest without a
    /// confirmation: one that is never confirmed must not let the others run away from it. An event
    /// larger than the limit of bytes goes alone.
    pub fn has_room(&self, messages: u64) -> bool {
        messages < self.limit_messages && self.bytes < self.limit_bytes
    }

    /// Bytes of the bodies of unconfirmed events.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One event of so many bytes goes.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// One event of so many bytes has arrived.
    pub fn remove(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_limit_closes_the_window() {
        let mut window = Window::new(2, 100);
        window.add(1);
        assert!(window.has_room(1));
        assert!(!window.has_room(2));
        window.add(99);
        assert!(!window.has_room(1));
        window.remove(99);
        assert!(window.has_room(1));
    }

    #[test]
    fn an_event_larger_than_the_window_goes_alone() {
        let mut window = Window::new(10, 100);
        assert!(window.has_room(0));
        window.add(1_000);
        assert!(!window.has_room(1));
        window.remove(1_000);
        assert!(window.has_room(0));
    }
}
