use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{Blow, Repeats, milliseconds};
use crate::chaos::error::ChaosError;
use crate::chaos::oracle;
use crate::chaos::stage::{PATIENCE, Stage};

/// Longer than `wal_sender_timeout` of the stage.
const PAST_PATIENCE: Duration = Duration::from_secs(6);

impl Stage {
    pub(super) async fn relay_kill(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let blow = self.blow();
        self.kill_relay().await?;
        if rng.u8(0..3) == 0 {
            self.compare_with_slot().await?;
        }
        let started = self.start_relay()?;
        Ok(blow.over_with_relay(started))
    }

    pub(super) async fn relay_stop(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let hold = match rng.u8(0..4) {
            0 => PAST_PATIENCE,
            _ => milliseconds(rng, 100, 2_000),
        };
        let blow = self.blow();
        self.relay.signal(Signal::STOP);
        sleep(hold).await;
        self.relay.signal(Signal::CONT);
        Ok(blow.over())
    }

    pub(super) async fn relay_term(&mut self) -> Result<Blow, ChaosError> {
        let blow = self.blow();
        self.note_relay();
        self.relay.signal(Signal::TERM);
        self.relay_stops().await?;
        self.compare_with_slot().await?;
        let started = self.start_relay()?;
        Ok(Blow {
            repeats: Repeats::Never,
            ..blow.over_with_relay(started)
        })
    }

    /// With no relay at work: everything before the slot's position must be in the queue.
    async fn compare_with_slot(&self) -> Result<(), ChaosError> {
        let position = self.free_slot().await?;
        oracle::read(&self.client, &self.ledger, Some(&position)).await?;
        let acknowledged = self.ledger.check(|checker| checker.expected());
        // What is in the queue comes without delay; nothing else can come.
        match self.ledger.reaches(acknowledged, PATIENCE / 6).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.ledger.check(|checker| checker.acknowledged())?;
                Err(error)
            }
        }
    }
}
