/// How much may be on its way without a confirmation. It bounds the relay's memory, whatever the
/// size of a transaction.
#[derive(Debug)]
pub struct Window {
    limit_messages: u64,
    limit_bytes: u64,
    messages: u64,
    bytes: u64,
}

impl Window {
    /// An empty window with limits in messages and in bytes of their bodies.
    pub fn new(limit_messages: u64, limit_bytes: u64) -> Self {
        Self {
            limit_messages,
            limit_bytes,
            messages: 0,
            bytes: 0,
        }
    }

    /// Whether one more event may go. An event larger than the limit goes alone.
    pub fn has_room(&self) -> bool {
        self.messages < self.limit_messages && self.bytes < self.limit_bytes
    }

    /// Messages on their way.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// One event of so many bytes goes.
    pub fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// One event of so many bytes has arrived.
    pub fn remove(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
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
        assert!(window.has_room());
        window.add(1);
        assert!(!window.has_room());
        window.remove(1);
        window.add(99);
        window.remove(1);
        assert!(window.has_room());
        window.add(1);
        assert!(!window.has_room());
    }

    #[test]
    fn an_event_larger_than_the_window_goes_alone() {
        let mut window = Window::new(10, 100);
        assert!(window.has_room());
        window.add(1_000);
        assert!(!window.has_room());
        window.remove(1_000);
        assert!(window.has_room() && window.is_empty());
    }
}
