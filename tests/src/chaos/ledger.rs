use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::checker::{Arrival, Checker, Message};
use super::error::ChaosError;
use super::violation::Violation;

/// How far back arrivals can be counted, and how finely.
const MEMORY: Duration = Duration::from_secs(2);
const GRAIN: Duration = Duration::from_millis(10);

/// The checker, shared by those who see messages and those who wait for them.
#[derive(Debug)]
pub struct Ledger {
    page: Mutex<Page>,
    /// Highest number with everything below it.
    last: watch::Sender<u64>,
    broken: watch::Sender<Option<Violation>>,
}

#[derive(Debug, Default)]
struct Page {
    checker: Checker,
    /// How many new events came in which moment.
    recent: VecDeque<(Instant, u64)>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self {
            page: Mutex::default(),
            last: watch::Sender::new(0),
            broken: watch::Sender::new(None),
        }
    }

    /// Takes in what the consumer was given.
    pub fn arrived(&self, message: &Message<'_>) {
        let mut page = self.page();
        match page.checker.arrived(message) {
            Ok(Arrival::New) => {
                page.count();
                let last = page.checker.last();
                drop(page);
                self.last.send_replace(last);
            }
            Ok(Arrival::Duplicate | Arrival::Redelivered) => {}
            Err(violation) => {
                drop(page);
                self.object(violation);
            }
        }
    }

    /// Notes the first violation; later ones follow from it.
    pub fn object(&self, violation: Violation) {
        self.broken.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(violation);
            }
            is_first
        });
    }

    /// Asks or tells the checker something.
    pub fn check<T>(&self, question: impl FnOnce(&mut Checker) -> T) -> T {
        question(&mut self.page().checker)
    }

    /// New events that arrived in the last `span`, which is at most two seconds.
    pub fn arrived_within(&self, span: Duration) -> u64 {
        let page = self.page();
        let recent = page.recent.iter().rev();
        recent
            .take_while(|(moment, _)| moment.elapsed() <= span + GRAIN)
            .map(|(_, count)| count)
            .sum()
    }

    /// Waits until this number has arrived with everything below it; says when.
    ///
    /// # Errors
    ///
    /// The first violation; [`Violation::Stuck`] after `patience` without a new event.
    pub async fn reaches(&self, number: u64, patience: Duration) -> Result<Instant, ChaosError> {
        let mut last = self.last.subscribe();
        let mut broken = self.broken.subscribe();
        loop {
            if let Some(violation) = broken.borrow_and_update().clone() {
                return Err(violation.into());
            }
            if *last.borrow_and_update() >= number {
                return Ok(Instant::now());
            }
            let news = async {
                tokio::select! {
                    _ = last.changed() => {}
                    _ = broken.changed() => {}
                }
            };
            if timeout(patience, news).await.is_err() {
                return Err(Violation::Stuck(patience).into());
            }
        }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    fn count(&mut self) {
        match self.recent.back_mut() {
            Some((moment, count)) if moment.elapsed() < GRAIN => *count += 1,
            Some(_) | None => {
                self.recent.push_back((Instant::now(), 1));
                while self
                    .recent
                    .front()
                    .is_some_and(|(moment, _)| moment.elapsed() > MEMORY)
                {
                    self.recent.pop_front();
                }
            }
        }
    }
}
