use std::time::Duration;

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{Postgres, PostgresError, Sql};

/// Pause before a session that ended for a reason of its own is opened again.
const PAUSE: Duration = Duration::from_secs(5);

/// How long nothing may be on its way until the session is ended.
const REST: Duration = Duration::from_secs(3);

/// An idle SQL session beside a busy stream, which tells that the server shuts down.
///
/// A walsender keeps a server that shuts down alive until its client has confirmed everything, and
/// does not say so. Ordinary sessions are ended first, with an error that does, and new ones are
/// refused: then the stream has to be ended, or a broker that takes no events would hold up the
/// server for ever. A smart shutdown on the other hand waits for ordinary sessions, so there is one
/// only while something is on its way. Source: PostgreSQL `src/backend/postmaster/postmaster.c`
/// (PM_STOP_BACKENDS comes before PM_SHUTDOWN) and `WalSndDone` in
/// `src/backend/replication/walsender.c`.
#[derive(Debug)]
pub struct Sentinel {
    config: Postgres,
    busy: watch::Receiver<bool>,
}

impl Sentinel {
    /// A sentinel for a stream that says whether something is on its way.
    pub fn new(config: Postgres, busy: watch::Receiver<bool>) -> Self {
        Self { config, busy }
    }

    /// Waits until the server says that it shuts down; for ever while it does not. A session that
    /// ends for another reason, such as `idle_session_timeout`, is opened again.
    pub async fn server_stops(mut self) -> PostgresError {
        loop {
            becomes(&mut self.busy, true).await;
            let ended = match Sql::connect(&self.config).await {
                Ok(session) => tokio::select! {
                    ended = session.ended() => ended,
                    () = rest(&mut self.busy) => continue,
                },
                Err(error) => error,
            };
            if ended.is_closed() {
                return ended;
            }
            debug!("the session beside the stream has ended: {ended}");
            sleep(PAUSE).await;
        }
    }
}

/// Waits until nothing has been on its way for a while.
async fn rest(busy: &mut watch::Receiver<bool>) {
    loop {
        becomes(busy, false).await;
        if timeout(REST, becomes(busy, true)).await.is_err() {
            return;
        }
    }
}

/// Waits until the stream is busy or not; for ever when it is over.
async fn becomes(busy: &mut watch::Receiver<bool>, wanted: bool) {
    if busy.wait_for(|busy| *busy == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}
