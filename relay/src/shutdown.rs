//! The request to stop.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::{exit::Exit, log};

/// Signals that follow each other this closely are one request: a supervisor may send one to the
/// process and one to its group.
const BURST: Duration = Duration::from_millis(500);

/// The request to stop: SIGTERM or SIGINT. A second one ends the process at once.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

impl Shutdown {
    /// The request of whoever holds the sender of `requested`.
    pub fn of(requested: watch::Receiver<bool>) -> Self {
        Self { requested }
    }

    /// Starts to listen for signals.
    ///
    /// # Errors
    ///
    /// The handlers cannot be set.
    pub fn listen() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (request, requested) = watch::channel(false);
        tokio::spawn(async move {
            let mut first: Option<Instant> = None;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                match first {
                    None => {
                        info!("stopping");
                        first = Some(Instant::now());
                        request.send_replace(true);
                    }
                    Some(first) if first.elapsed() < BURST => {}
                    Some(_) => {
                        warn!("stopped at once: what was in flight will be sent again");
                        log::finish();
                        std::process::exit(Exit::Abandoned as i32);
                    }
                }
            }
        });
        Ok(Self { requested })
    }

    /// Waits until the process should stop; returns at once from then on.
    pub async fn requested(&self) {
        // The sender lives as long as the runtime; without it nobody can ask any more.
        if self
            .requested
            .clone()
            .wait_for(|requested| *requested)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the process should stop.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }
}
