//! The request to stop.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::exit::Exit;

/// The request to stop: SIGTERM or SIGINT. A second one ends the process at once.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

impl Shutdown {
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
            for first in [true, false] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if first {
                    info!("stopping");
                    request.send_replace(true);
                } else {
                    warn!("stopped at once: what was in flight will be sent again");
                    std::process::exit(Exit::Clean as i32);
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
