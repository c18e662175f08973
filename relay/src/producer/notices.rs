use std::time::Duration;

use tracing::warn;

use super::feed::Oversized;
use crate::{delivery::Counts, sink::Unrouted, throttle::Throttle};

/// Pause between two notices of a kind of thing that may happen to every event.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells the operator of events that did not go their usual way: how many since the last time, and
/// which was the last.
#[derive(Debug)]
pub(super) struct Notices {
    said: Counts,
    throttle: Throttle<Duration>,
    /// The last event that no queue wanted.
    unrouted: Option<Unrouted>,
    oversized: Option<Oversized>,
}

impl Notices {
    /// Nothing after `counts` has been told.
    pub(super) fn since(counts: &Counts) -> Self {
        Self {
            said: *counts,
            throttle: Throttle::new(PAUSE),
            unrouted: None,
            oversized: None,
        }
    }

    /// No queue wanted an event, and the relay goes on.
    pub(super) fn unrouted(&mut self, unrouted: Unrouted) {
        self.unrouted = Some(unrouted);
    }

    /// A marker went in the place of an event.
    pub(super) fn oversized(&mut self, event: Oversized) {
        self.oversized = Some(event);
    }

    /// Tells what there is to tell, if it is time.
    pub(super) fn tick(&mut self, now: Duration, counts: &Counts) {
        if self.throttle.is_due(now) && self.tell(counts) {
            self.throttle.said(now);
        }
    }

    /// Tells what there is to tell; `false`: nothing.
    pub(super) fn tell(&mut self, counts: &Counts) -> bool {
        let said = std::mem::replace(&mut self.said, *counts);
        let unrouted = self.unrouted.take();
        if let Some(Unrouted {
            routing_key, reply, ..
        }) = &unrouted
        {
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
        unrouted.is_some() || oversized.is_some()
    }
}
