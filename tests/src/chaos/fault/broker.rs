use fastrand::Rng;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{Blow, milliseconds};
use crate::chaos::error::ChaosError;
use crate::chaos::stage::{NAME, PATIENCE, Stage};
use crate::lab::Fault as NetworkFault;

/// What the relay says when no queue takes an event.
const UNROUTABLE: &str = "no queue of the exchange takes it";
/// What it says of a refusal of what it could do before.
const WORKED: &str = "it has worked before";
/// What it says when a queue takes no more.
const NACKED: &str = "the broker refused an event (nack)";
const BLOCKED: &str = "the broker takes no events";

impl Stage {
    pub(super) async fn broker_kill(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        self.dismiss_witness().await?;
        self.load.resume();
        sleep(milliseconds(rng, 50, 500)).await;
        let blow = self.blow();
        self.rabbitmq.kill().await?;
        self.run_rabbitmq().await?;
        let blow = blow.over();
        self.witness.attach().await?;
        Ok(blow)
    }

    /// Lets the consumer read everything and step aside; nothing is written from then on. A message
    /// that the broker sends while a consumer leaves counts as held by it until later.
    async fn dismiss_witness(&mut self) -> Result<(), ChaosError> {
        let committed = self.load.pause().await;
        self.ledger.reaches(committed, PATIENCE).await?;
        self.witness.detach().await
    }

    pub(super) async fn broker_stop(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let node = self.rabbitmq.process();
        let blow = self.blow();
        node.signal(Signal::STOP);
        sleep(milliseconds(rng, 200, 4_000)).await;
        node.signal(Signal::CONT);
        Ok(blow.over())
    }

    pub(super) async fn memory_alarm(&mut self) -> Result<Blow, ChaosError> {
        let limit = ["set_vm_memory_high_watermark", "absolute"];
        self.alarm(&[limit[0], limit[1], "1MB"], &[limit[0], limit[1], "3GB"])
            .await
    }

    pub(super) async fn disk_alarm(&mut self) -> Result<Blow, ChaosError> {
        let limit = "set_disk_free_limit";
        self.alarm(&[limit, "100000GB"], &[limit, "50MB"]).await
    }

    async fn alarm(&mut self, raise: &[&str], clear: &[&str]) -> Result<Blow, ChaosError> {
        let blow = self.blow();
        self.rabbitmq.control(raise)?;
        self.relay_says(blow.said, BLOCKED).await?;
        self.rabbitmq.control(clear)?;
        Ok(blow.over())
    }

    pub(super) async fn unbind(&mut self) -> Result<Blow, ChaosError> {
        let (_connection, channel) = self.channel().await?;
        let blow = self.blow();
        let (name, all, none) = (NAME.into(), "#".into(), FieldTable::default());
        channel.queue_unbind(NAME.into(), name, all, none).await?;
        self.relay_says(blow.said, UNROUTABLE).await?;
        self.declare().await?;
        Ok(blow.over())
    }

    pub(super) async fn exchange_delete(&mut self) -> Result<Blow, ChaosError> {
        let (_connection, channel) = self.channel().await?;
        let blow = self.blow();
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(NAME.into(), options).await?;
        // The relay makes the exchange again, but bindings are the consumers' affair.
        self.relay_says(blow.said, UNROUTABLE).await?;
        self.declare().await?;
        Ok(blow.over())
    }

    /// What a queue holds is gone with it, so this one is emptied first.
    pub(super) async fn queue_delete(&mut self) -> Result<Blow, ChaosError> {
        self.dismiss_witness().await?;
        let (_connection, channel) = self.channel().await?;
        let blow = self.blow();
        let options = QueueDeleteOptions::default();
        channel.queue_delete(NAME.into(), options).await?;
        self.load.resume();
        self.relay_says(blow.said, UNROUTABLE).await?;
        self.declare().await?;
        let blow = blow.over();
        self.rabbitmq.write_queue_table()?;
        self.witness.attach().await?;
        Ok(blow)
    }

    /// With a reader the queue would hardly fill.
    pub(super) async fn queue_full(&mut self) -> Result<Blow, ChaosError> {
        const POLICY: &str = "full";
        self.dismiss_witness().await?;
        let limit = r#"{"max-length":100,"overflow":"reject-publish"}"#;
        let blow = self.blow();
        self.rabbitmq
            .control(&["set_policy", POLICY, NAME, limit, "--apply-to", "queues"])?;
        self.load.resume();
        self.relay_says(blow.said, NACKED).await?;
        self.rabbitmq.control(&["clear_policy", POLICY])?;
        let blow = blow.over();
        self.witness.attach().await?;
        Ok(blow)
    }

    pub(super) async fn permission_revoke(&mut self) -> Result<Blow, ChaosError> {
        let user = self.rabbitmq.user().to_owned();
        let blow = self.blow();
        let nothing = ["set_permissions", "-p", "/", &user, "^$", "^$", ".*"];
        self.rabbitmq.control(&nothing)?;
        // An open channel keeps what it was allowed.
        self.to_rabbitmq.set(NetworkFault::Reset);
        self.relay_says(blow.said, WORKED).await?;
        let all = ["set_permissions", "-p", "/", &user, ".*", ".*", ".*"];
        self.rabbitmq.control(&all)?;
        self.to_rabbitmq.set(NetworkFault::None);
        Ok(blow.over())
    }
}
