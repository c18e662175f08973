use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use super::{PostgresError, Sql};
use crate::config::Postgres;

/// Pause before a session that ended for a reason of its own is opened again.
const PAUSE: Duration = Duration::from_secs(5);

/// An idle SQL session beside the stream, which tells that the server shuts down.
///
/// A walsender keeps a server that shuts down alive until its client has confirmed everything, and
/// does not say so. Ordinary sessions are ended first, with an error that does: on it the stream has
/// to be ended, or a broker that takes no events would hold up the server for ever. Source:
/// PostgreSQL `src/backend/postmaster/postmaster.c` (PM_STOP_BACKENDS before PM_WAIT_XLOG_SHUTDOWN)
/// and `WalSndDone` in `src/backend/replication/walsender.c`.
#[derive(Debug)]
pub struct Sentinel<'a> {
    /// `None`: its session ended and could not be opened again yet.
    session: Option<Sql<'a>>,
    config: &'a Postgres,
}

impl<'a> Sentinel<'a> {
    /// Lets an idle session stand sentinel.
    pub fn new(session: Sql<'a>, config: &'a Postgres) -> Self {
        Self {
            session: Some(session),
            config,
        }
    }

    /// Waits until the server says that it shuts down; for ever while it does not. A session that
    /// ends for another reason, such as `idle_session_timeout`, is opened again.
    pub async fn server_stops(&mut self) -> PostgresError {
        loop {
            let ended = match self.session.take() {
                Some(session) => session.ended().await,
                None => match Sql::connect(self.config).await {
                    Ok(session) => {
                        self.session = Some(session);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            if ended.is_closed() {
                return ended;
            }
            debug!("the session beside the stream has ended: {ended}");
            sleep(PAUSE).await;
        }
    }
}
