use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio_util::sync::ReusableBoxFuture;

use super::{settlement::Given, wakes::Wakes};

/// How many finished futures are kept to be used again, each of about 1.5 kB. More than that are in
/// use only while the broker reads nothing.
const SPARE: usize = 256;

/// Messages whose outcome is awaited: first to be written, in order, then to be confirmed, in any
/// order. `C` is what lapin gives for a message that is written; it ends with the confirm.
///
/// lapin wakes at both steps of every message. Of the unwritten ones only the oldest is listened
/// to, since none is written before it; a confirm notes its place in [`Wakes`].
pub(super) struct InFlight<C> {
    unwritten: VecDeque<(Given, Writing<C>)>,
    spare: Vec<Writing<C>>,
    unconfirmed: Vec<Place<C>>,
    /// Places without a message.
    free: Vec<usize>,
    /// Places to be looked at.
    due: VecDeque<usize>,
    wakes: Wakes,
    /// Why a message could not even be begun.
    failed: Option<lapin::Error>,
}

type Writing<C> = ReusableBoxFuture<'static, lapin::Result<C>>;

/// Where a message waits for its confirm.
struct Place<C> {
    message: Option<(Given, C)>,
    waker: Waker,
}

impl<C, T> InFlight<C>
where
    C: Future<Output = lapin::Result<T>> + Unpin,
{
    /// Whether nothing is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_none()
            && self.unwritten.is_empty()
            && self.free.len() == self.unconfirmed.len()
    }

    /// Adds a message and polls `write` once, which in lapin takes its delivery tag and queues its
    /// frames: the order of the calls is the order on the wire.
    pub(super) fn push(
        &mut self,
        given: Given,
        write: impl Future<Output = lapin::Result<C>> + Send + 'static,
    ) {
        let mut writing = match self.spare.pop() {
            Some(mut spare) => {
                spare.set(write);
                spare
            }
            None => ReusableBoxFuture::new(write),
        };
        match writing.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.unwritten.push_back((given, writing)),
            Poll::Ready(Ok(confirm)) => self.written(given, confirm, writing),
            Poll::Ready(Err(error)) => self.failed = Some(error),
        }
    }

    /// The next message that has come to its end; pending while there is none, and when no message
    /// is awaited.
    ///
    /// # Errors
    ///
    /// The channel is of no use any more, and what is awaited will not come.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<lapin::Result<(Given, T)>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        self.take_written(cx)?;
        loop {
            while let Some(place) = self.due.pop_front() {
                if let Poll::Ready(ended) = self.look_at(place) {
                    return Poll::Ready(ended);
                }
            }
            self.wakes.take(&mut self.due, cx);
            if self.due.is_empty() {
                return Poll::Pending;
            }
        }
    }

    fn take_written(&mut self, cx: &mut Context<'_>) -> lapin::Result<()> {
        while let Some((given, mut writing)) = self.unwritten.pop_front() {
            match writing.poll(cx) {
                Poll::Ready(confirm) => self.written(given, confirm?, writing),
                Poll::Pending => {
                    self.unwritten.push_front((given, writing));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Gives a message a place to wait for its confirm, to be looked at in its turn.
    fn written(&mut self, given: Given, confirm: C, writing: Writing<C>) {
        if self.spare.len() < SPARE {
            self.spare.push(writing);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            let waker = self.wakes.waker(self.unconfirmed.len());
            let message = None;
            self.unconfirmed.push(Place { message, waker });
            self.unconfirmed.len() - 1
        });
        self.unconfirmed[place].message = Some((given, confirm));
        self.due.push_back(place);
    }

    /// Takes the message from a place if it has come to its end.
    fn look_at(&mut self, at: usize) -> Poll<lapin::Result<(Given, T)>> {
        let place = &mut self.unconfirmed[at];
        let Some((given, mut confirm)) = place.message.take() else {
            // Woken for the message before, which had been seen without.
            return Poll::Pending;
        };
        match Pin::new(&mut confirm).poll(&mut Context::from_waker(&place.waker)) {
            Poll::Ready(ended) => {
                self.free.push(at);
                Poll::Ready(ended.map(|confirmation| (given, confirmation)))
            }
            Poll::Pending => {
                place.message = Some((given, confirm));
                Poll::Pending
            }
        }
    }
}

impl<C> Default for InFlight<C> {
    fn default() -> Self {
        Self {
            unwritten: VecDeque::new(),
            spare: Vec::new(),
            unconfirmed: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            wakes: Wakes::default(),
            failed: None,
        }
    }
}

impl<C> fmt::Debug for InFlight<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("unwritten", &self.unwritten.len())
            .field("unconfirmed", &(self.unconfirmed.len() - self.free.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, atomic::Ordering},
    };

    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{delivery::Sent, sink::amqp::wakes::tests::Count};

    /// What lapin gives for a message that is written; it ends with the message's number.
    struct Confirm(oneshot::Receiver<u64>);

    impl Future for Confirm {
        type Output = lapin::Result<u64>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            Pin::new(&mut self.0).poll(cx).map(|end| end.map_err(gone))
        }
    }

    fn gone(_: oneshot::error::RecvError) -> lapin::Error {
        std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()
    }

    fn given(number: u64) -> Given {
        Given {
            message: Sent { number, bytes: 1 },
            message_id: None,
            parked: None,
        }
    }

    /// A broker that writes and confirms when it is told to.
    #[derive(Default)]
    struct Broker {
        unwritten: VecDeque<(u64, oneshot::Sender<()>, oneshot::Sender<u64>)>,
        unconfirmed: BTreeMap<u64, oneshot::Sender<u64>>,
    }

    impl Broker {
        fn push(&mut self, in_flight: &mut InFlight<Confirm>, number: u64) {
            let (write, written) = oneshot::channel();
            let (confirm, confirmed) = oneshot::channel();
            self.unwritten.push_back((number, write, confirm));
            in_flight.push(given(number), async {
                written.await.map_err(gone)?;
                Ok(Confirm(confirmed))
            });
        }

        fn write(&mut self) {
            if let Some((number, write, confirm)) = self.unwritten.pop_front() {
                let _ = write.send(());
                self.unconfirmed.insert(number, confirm);
            }
        }

        /// Confirms the one at that place among those that can be.
        fn confirm(&mut self, at: usize) {
            let at = at % self.unconfirmed.len().max(1);
            let number = self.unconfirmed.keys().nth(at).copied();
            if let Some((number, confirm)) =
                number.and_then(|number| self.unconfirmed.remove_entry(&number))
            {
                let _ = confirm.send(number);
            }
        }
    }

    /// Numbers of all that have come to their end.
    fn ended(in_flight: &mut InFlight<Confirm>, cx: &mut Context<'_>) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Poll::Ready(end) = in_flight.poll_next(cx) {
            match end {
                Ok((sent, number)) => {
                    assert_eq!(
                        sent.message.number, number,
                        "the confirm of another message"
                    );
                    numbers.push(number);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        numbers
    }

    #[test]
    fn many_confirms_wake_once() {
        let (mut in_flight, mut broker) = (InFlight::default(), Broker::default());
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        for number in 0..100 {
            broker.push(&mut in_flight, number);
        }
        assert!(ended(&mut in_flight, &mut cx).is_empty());
        for _ in 0..100 {
            broker.write();
        }
        assert!(ended(&mut in_flight, &mut cx).is_empty());
        for _ in 0..100 {
            broker.confirm(0);
        }
        assert_eq!(ended(&mut in_flight, &mut cx), Vec::from_iter(0..100));
        assert!(in_flight.is_empty());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_lost_connection_ends_what_is_awaited() {
        for written in [false, true] {
            let (mut in_flight, mut broker) = (InFlight::default(), Broker::default());
            let mut cx = Context::from_waker(Waker::noop());
            broker.push(&mut in_flight, 1);
            if written {
                broker.write();
                assert!(in_flight.poll_next(&mut cx).is_pending());
            }
            drop(broker);
            assert!(matches!(in_flight.poll_next(&mut cx), Poll::Ready(Err(_))));
        }
    }

    #[test]
    fn a_message_that_cannot_be_begun_is_an_error() {
        let mut in_flight = InFlight::<Confirm>::default();
        let mut cx = Context::from_waker(Waker::noop());
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        in_flight.push(given(1), async { Err(broken.into()) });
        assert!(!in_flight.is_empty());
        assert!(matches!(in_flight.poll_next(&mut cx), Poll::Ready(Err(_))));
    }

    proptest! {
        /// Whatever the order of writes and confirms: every message ends once, with its own
        /// confirm, and as soon as it has one, who waits has been woken.
        #[test]
        fn every_message_ends_once_and_who_waits_is_woken(
            steps in prop::collection::vec((0_u8..4, any::<usize>()), 1..400),
        ) {
            let (mut in_flight, mut broker) = (InFlight::default(), Broker::default());
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let mut cx = Context::from_waker(&waker);
            let (mut pushed, mut confirmed, mut seen) = (0, 0, Vec::new());
            for (step, at) in steps {
                match step {
                    0 => {
                        broker.push(&mut in_flight, pushed);
                        pushed += 1;
                    }
                    1 => broker.write(),
                    2 => {
                        confirmed += usize::from(!broker.unconfirmed.is_empty());
                        broker.confirm(at);
                    }
                    _ => {
                        let woken = count.0.load(Ordering::Relaxed);
                        seen.append(&mut ended(&mut in_flight, &mut cx));
                        prop_assert_eq!(seen.len(), confirmed);
                        if !broker.unconfirmed.is_empty() {
                            confirmed += 1;
                            broker.confirm(at);
                            prop_assert!(count.0.load(Ordering::Relaxed) > woken);
                        } else if !broker.unwritten.is_empty() {
                            broker.write();
                            prop_assert!(count.0.load(Ordering::Relaxed) > woken);
                        }
                    }
                }
            }
            seen.append(&mut ended(&mut in_flight, &mut cx));
            prop_assert_eq!(seen.len(), confirmed);
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), confirmed);
            prop_assert_eq!(in_flight.is_empty(), confirmed as u64 == pushed);
        }
    }
}
