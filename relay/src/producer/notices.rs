use std::time::Duration;

use tracing::warn;

use crate::{
    delivery::{Counts, Oversized},
    publish::Returned,
};

/// Pause between two notices of a kind of thing that may happen to every event.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells the operator of events that did not go their usual way: how many since the last time, and
/// which was the last.
#[derive(Debug)]
pub(super) struct Notices {
    said: Counts,
    due: Duration,
    /// Routing key of the last event that no queue wanted, and the broker's words.
    returned: Option<(String, String)>,
    oversized: Option<Oversized>,
}

impl Notices {
    /// Nothing after `counts` has been told.
    pub(super) fn since(counts: &Counts) -> Self {
        Self {
            said: *counts,
            due: Duration::ZERO,
            returned: None,
            oversized: None,
        }
    }

    /// An event came back, and the relay goes on.
    pub(super) fn returned(&mut self, returned: &Returned) {
        self.returned = Some((returned.routing_key.to_string(), returned.reply.clone()));
    }

    /// A marker went in the place of an event.
    pub(super) fn oversized(&mut self, event: Oversized) {
        self.oversized = Some(event);
    }

    /// Tells what there is to tell, if it is time.
    pub(super) fn tick(&mut self, now: Duration, counts: &Counts) {
        if now >= self.due && self.tell(counts) {
            self.due = now + PAUSE;
        }
    }

    /// Tells what there is to tell; `false`: nothing.
    pub(super) fn tell(&mut self, counts: &Counts) -> bool {
        let said = std::mem::replace(&mut self.said, *counts);
        let returned = self.returned.take();
        if let Some((routing_key, reply)) = &returned {
            let parked = counts.parked - said.parked;
            let dropped = counts.dropped - said.dropped;
            warn!(
                parked,
                dropped, routing_key, reply, "no queue takes some events: bind one for them"
            );
        }
        let oversized = self.oversized.take();
        if let Some(event) = &oversized {
            let omitted = counts.omitted - said.omitted;
            warn!(
                omitted,
                routing_key = event.routing_key,
                message_id = event.message_id,
                end_lsn = %event.end_lsn,
                bytes = event.bytes,
                "events larger than --max-message-bytes went as markers; this is the last of them"
            );
        }
        returned.is_some() || oversized.is_some()
    }
}
