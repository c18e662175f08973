use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{Blow, milliseconds};
use crate::chaos::error::ChaosError;
use crate::chaos::stage::{NAME, PATIENCE, Stage, create_slot};

impl Stage {
    pub(super) async fn walsender_kill(&mut self) -> Result<Blow, ChaosError> {
        let walsender = self.walsender().await?;
        let blow = self.blow();
        send(walsender, Signal::KILL);
        self.crashes += 1;
        // The server ends all connections, and ours with them.
        let ended = async {
            while self.client.batch_execute("SELECT 1").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .map_err(|_| ChaosError::Late {
                awaited: "end of all connections after a crash",
                patience: PATIENCE,
            })?;
        let back = self.reconnect().await?;
        Ok(Blow { over: back, ..blow })
    }

    pub(super) async fn walsender_terminate(&mut self) -> Result<Blow, ChaosError> {
        let walsender = self.walsender().await?;
        let blow = self.blow();
        let query = "SELECT pg_terminate_backend($1)";
        self.client.execute(query, &[&walsender]).await?;
        Ok(blow.over())
    }

    pub(super) async fn walsender_stop(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let walsender = self.walsender().await?;
        let blow = self.blow();
        send(walsender, Signal::STOP);
        sleep(milliseconds(rng, 100, 3_000)).await;
        send(walsender, Signal::CONT);
        Ok(blow.over())
    }

    pub(super) async fn postgres_kill(&mut self) -> Result<Blow, ChaosError> {
        let blow = self.blow();
        self.postgres.kill().await?;
        self.run_postgres().await?;
        let back = self.reconnect().await?;
        Ok(Blow { over: back, ..blow })
    }

    pub(super) async fn postgres_stop(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let blow = self.blow();
        self.postgres.freeze();
        sleep(milliseconds(rng, 100, 3_000)).await;
        self.postgres.thaw();
        Ok(blow.over())
    }

    /// While nothing is written: what is committed between two slots is in neither.
    pub(super) async fn slot_drop(&mut self) -> Result<Blow, ChaosError> {
        let committed = self.load.pause().await;
        self.ledger.reaches(committed, PATIENCE).await?;
        let walsender = self.walsender().await?;
        let blow = self.blow();
        // A relay that stands still cannot take the slot back.
        self.relay.signal(Signal::STOP);
        let query = "SELECT pg_terminate_backend($1)";
        self.client.execute(query, &[&walsender]).await?;
        self.free_slot().await?;
        let query = "SELECT pg_drop_replication_slot($1)";
        self.client.execute(query, &[&NAME]).await?;
        self.relay.signal(Signal::CONT);
        self.relay_ends(10, "is gone").await?;
        create_slot(&self.client).await?;
        let started = self.start_relay()?;
        self.load.resume();
        Ok(blow.over_with_relay(started))
    }

    pub(super) async fn disk_full(&mut self) -> Result<Blow, ChaosError> {
        let disk = self.spill.as_ref();
        let disk = disk.expect("the stage has a disk when the plan has this fault");
        let blow = self.blow();
        disk.fill()?;
        self.relay_says(blow.said, "No space left on device")
            .await?;
        disk.clear()?;
        Ok(blow.over())
    }
}

/// A process that has ended by itself needs no signal.
fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
