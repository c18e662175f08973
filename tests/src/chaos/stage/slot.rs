use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::{NAME, PATIENCE, POLL, Stage};
use crate::chaos::error::ChaosError;

impl Stage {
    /// The process that serves the relay's stream, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`ChaosError::Late`] when none comes.
    pub async fn walsender(&self) -> Result<i32, ChaosError> {
        self.poll("walsender of the relay", |row| row).await
    }

    /// Waits until no process uses the slot; gives the slot's position as text.
    ///
    /// # Errors
    ///
    /// [`ChaosError::Late`] when it stays in use.
    pub async fn free_slot(&self) -> Result<String, ChaosError> {
        self.poll("free slot", |pid| match pid {
            Some(_) => None,
            None => Some(()),
        })
        .await?;
        self.slot_position().await
    }

    /// Where the slot stands, as text.
    ///
    /// # Errors
    ///
    /// The server's refusal.
    pub async fn slot_position(&self) -> Result<String, ChaosError> {
        let query =
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
        Ok(self.client.query_one(query, &[&NAME]).await?.get(0))
    }

    /// Asks for the slot's process until the answer is one that is wanted.
    async fn poll<T>(
        &self,
        awaited: &'static str,
        wanted: impl Fn(Option<i32>) -> Option<T>,
    ) -> Result<T, ChaosError> {
        let query = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        let asked = async {
            loop {
                let pid = self.client.query_one(query, &[&NAME]).await?.get(0);
                if let Some(answer) = wanted(pid) {
                    return Ok(answer);
                }
                sleep(POLL).await;
            }
        };
        let late = ChaosError::Late {
            awaited,
            patience: PATIENCE,
        };
        timeout(PATIENCE, asked).await.unwrap_or(Err(late))
    }
}

/// Makes the relay's slot: every row from now on must arrive.
///
/// # Errors
///
/// The server's refusal.
pub async fn create_slot(client: &Client) -> Result<(), ChaosError> {
    let query = "SELECT pg_create_logical_replication_slot($1, 'pgevents')";
    client.execute(query, &[&NAME]).await?;
    Ok(())
}
