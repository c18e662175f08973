use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Wake, Waker},
};

/// Collects which messages' confirms are to be looked at, from lapin's thread, and wakes the
/// relay's once for many of them.
#[derive(Debug, Default)]
pub(super) struct Wakes(Arc<Mutex<Woken>>);

#[derive(Debug, Default)]
struct Woken {
    places: VecDeque<usize>,
    /// Who waits for the next one.
    waiting: Option<Waker>,
}

impl Wakes {
    /// What wakes for the message at that place.
    pub(super) fn waker(&self, place: usize) -> Waker {
        let woken = Arc::clone(&self.0);
        Waker::from(Arc::new(Alarm { place, woken }))
    }

    /// Moves all places that have been woken into `places`, which is empty; if there are none, the
    /// next one wakes `cx`. A place may be there more than once, or without need.
    pub(super) fn take(&self, places: &mut VecDeque<usize>, cx: &Context<'_>) {
        let mut woken = lock(&self.0);
        std::mem::swap(&mut woken.places, places);
        if places.is_empty() {
            match &mut woken.waiting {
                Some(waiting) => waiting.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
    }
}

/// The waker of one place.
struct Alarm {
    place: usize,
    woken: Arc<Mutex<Woken>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = lock(&self.woken);
        woken.places.push_back(self.place);
        let waiting = woken.waiting.take();
        drop(woken);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// Nothing that holds the lock can leave the list in pieces.
fn lock(woken: &Mutex<Woken>) -> MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A waker's number of calls.
    #[derive(Default)]
    pub(in crate::sink::amqp) struct Count(pub AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_places_wake_who_waits_once() {
        let wakes = Wakes::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let mut places = VecDeque::new();
        wakes.take(&mut places, &cx);
        for place in [3, 1, 3] {
            wakes.waker(place).wake();
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        wakes.take(&mut places, &cx);
        assert_eq!(places, [3, 1, 3]);
        places.clear();
        wakes.waker(2).wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "nobody waits yet");
        wakes.take(&mut places, &cx);
        assert_eq!(places, [2]);
    }
}
