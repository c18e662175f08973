use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_util::{Stream, stream::FuturesUnordered};
use tokio_util::sync::ReusableBoxFuture;

use super::{PublishError, settlement::Completed};

/// How waiting for one message ended: by its completion, or with the connection.
pub(super) type Completion = Result<Completed, PublishError>;

/// Messages whose outcome is awaited, in the order in which outcomes come. The memory of finished
/// futures is used again: each takes 1.5 kB, and there is one for every event.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    messages: FuturesUnordered<Message>,
    spare: Vec<ReusableBoxFuture<'static, Completion>>,
}

/// One message.
#[derive(Debug)]
enum Message {
    /// Its future has to be polled.
    Running(Option<ReusableBoxFuture<'static, Completion>>),
    /// It failed before it was sent.
    Failed(Option<Completion>),
}

impl InFlight {
    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Adds a message and polls it once, which in lapin takes its delivery tag and queues its
    /// frames: the order of the calls is the order on the wire.
    pub(super) fn push(&mut self, message: impl Future<Output = Completion> + Send + 'static) {
        let mut future = match self.spare.pop() {
            Some(mut spare) => {
                spare.set(message);
                spare
            }
            None => ReusableBoxFuture::new(message),
        };
        self.messages
            .push(match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Message::Running(Some(future)),
                Poll::Ready(outcome) => Message::Failed(Some(outcome)),
            });
    }

    /// The next outcome; pending while there is none, and when no message is awaited.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Completion> {
        match Pin::new(&mut self.messages).poll_next(cx) {
            Poll::Ready(Some((outcome, spare))) => {
                self.spare.extend(spare);
                Poll::Ready(outcome)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Future for Message {
    type Output = (Completion, Option<ReusableBoxFuture<'static, Completion>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Running(future) => {
                let Some(running) = future else {
                    return Poll::Pending;
                };
                match running.poll(cx) {
                    Poll::Ready(outcome) => Poll::Ready((outcome, future.take())),
                    Poll::Pending => Poll::Pending,
                }
            }
            Self::Failed(outcome) => match outcome.take() {
                Some(outcome) => Poll::Ready((outcome, None)),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::{delivery::Confirmed, publish::settlement::End};

    fn outcome(number: u64) -> Completion {
        Ok(Completed {
            message: Confirmed { number, bytes: 1 },
            message_id: None,
            parked: false,
            end: End::Acked,
        })
    }

    #[test]
    fn outcomes_come_when_they_are_there_and_memory_is_used_again() {
        let mut in_flight = InFlight::default();
        let mut cx = Context::from_waker(Waker::noop());
        in_flight.push(pending());
        let mut polled = false;
        in_flight.push(std::future::poll_fn(move |_| {
            let first = !std::mem::replace(&mut polled, true);
            if first {
                Poll::Pending
            } else {
                Poll::Ready(outcome(1))
            }
        }));
        in_flight.push(ready(outcome(2)));
        let mut numbers = Vec::new();
        while let Poll::Ready(outcome) = in_flight.poll_next(&mut cx) {
            match outcome {
                Ok(completed) => numbers.push(completed.message.number),
                Err(error) => panic!("{error:?}"),
            }
        }
        numbers.sort_unstable();
        assert_eq!(
            (numbers, in_flight.len(), in_flight.spare.len()),
            (vec![1, 2], 1, 1)
        );
    }
}
