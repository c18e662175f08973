//! What is done to the parts, and what each must lead to.

mod broker;
mod network;
mod postgres;
mod relay;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use fastrand::Rng;

use super::error::ChaosError;
use super::stage::Stage;

/// A way to hurt one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Fault {
    /// kill -9 of the relay; in every third round the queue is compared with the slot before the
    /// next one starts
    RelayKill,
    /// SIGSTOP of the relay, now and then for longer than wal_sender_timeout
    RelayStop,
    /// SIGTERM of the relay under load: exit 0, and nothing comes twice
    RelayTerm,
    /// kill -9 of the walsender, which restarts the whole server
    WalsenderKill,
    /// pg_terminate_backend of the walsender
    WalsenderTerminate,
    /// SIGSTOP of the walsender
    WalsenderStop,
    /// kill -9 of every process of PostgreSQL
    PostgresKill,
    /// SIGSTOP of every process of PostgreSQL
    PostgresStop,
    /// The slot is dropped behind the relay's back: exit 10
    SlotDrop,
    /// The disk of the spill files is full until the relay says so; needs root, for a tmpfs
    DiskFull,
    /// kill -9 of RabbitMQ
    BrokerKill,
    /// SIGSTOP of RabbitMQ
    BrokerStop,
    /// The memory alarm of RabbitMQ
    MemoryAlarm,
    /// The disk alarm of RabbitMQ
    DiskAlarm,
    /// The binding is removed until the relay complains, then made again
    Unbind,
    /// The exchange is deleted until the relay complains, then made and bound again
    ExchangeDelete,
    /// The (empty) queue is deleted until the relay complains, then made and bound again
    QueueDelete,
    /// The queue is full and refuses events (nack) until the relay complains; nobody reads it
    /// meanwhile
    QueueFull,
    /// The relay's permissions are taken away until the relay complains, then given back
    PermissionRevoke,
    /// A connection is reset after the n-th byte of one direction, running or just being made
    Cut,
    /// One direction of a connection ends after the n-th byte, the other goes on
    HalfClose,
    /// All connections to one side are reset
    Reset,
    /// Nothing passes for a while, and nothing is lost
    Stall,
    /// Bytes to one side take their time
    Latency,
    /// Bytes to one side pass slowly
    Throttle,
    /// Bytes to one side are swallowed and the connections stay dumb
    Blackhole,
}

/// A fault that has happened and is over.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// When it began.
    pub began: Instant,
    /// Highest number that was committed then.
    pub committed: u64,
    /// When everything could work again: the relay was started, a server took connections, bytes
    /// passed.
    pub over: Instant,
    /// Line of the relay's log after which what the fault makes it say comes.
    pub said: usize,
    /// Whether events may come again.
    pub repeats: Repeats,
}

/// What a fault may make the relay repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// What was not confirmed, or not reported, when a session ended; nothing if none did.
    OfSessions,
    /// Nothing, although a session ended.
    Never,
}

impl Fault {
    /// How often it is drawn in a mixed campaign, beside the others. The slow ones come less often.
    pub fn weight(self) -> u32 {
        match self {
            Self::RelayKill | Self::Cut => 12,
            Self::WalsenderTerminate
            | Self::WalsenderKill
            | Self::PostgresKill
            | Self::HalfClose
            | Self::Reset => 6,
            Self::RelayStop
            | Self::RelayTerm
            | Self::WalsenderStop
            | Self::PostgresStop
            | Self::BrokerKill
            | Self::BrokerStop
            | Self::Unbind
            | Self::Stall
            | Self::Latency
            | Self::Throttle => 3,
            Self::SlotDrop
            | Self::DiskFull
            | Self::MemoryAlarm
            | Self::DiskAlarm
            | Self::ExchangeDelete
            | Self::QueueDelete
            | Self::QueueFull
            | Self::PermissionRevoke
            | Self::Blackhole => 1,
        }
    }

    /// Whether the relay cannot go on in the session that the fault met.
    pub fn ends_session(self) -> bool {
        match self {
            Self::RelayKill
            | Self::RelayTerm
            | Self::WalsenderKill
            | Self::WalsenderTerminate
            | Self::PostgresKill
            | Self::SlotDrop
            | Self::DiskFull
            | Self::BrokerKill
            | Self::Unbind
            | Self::ExchangeDelete
            | Self::QueueDelete
            | Self::QueueFull
            | Self::PermissionRevoke
            | Self::Reset
            | Self::Blackhole => true,
            // These hit one connection, which may be the idle one beside the stream.
            Self::Cut
            | Self::HalfClose
            | Self::RelayStop
            | Self::WalsenderStop
            | Self::PostgresStop
            | Self::BrokerStop
            | Self::MemoryAlarm
            | Self::DiskAlarm
            | Self::Stall
            | Self::Latency
            | Self::Throttle => false,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Stage {
    /// Makes a fault happen and mends what it broke.
    ///
    /// # Errors
    ///
    /// A promise that was broken meanwhile, or a server that does not do its part.
    pub async fn suffer(&mut self, fault: Fault, rng: &mut Rng) -> Result<Blow, ChaosError> {
        match fault {
            Fault::RelayKill => self.relay_kill(rng).await,
            Fault::RelayStop => self.relay_stop(rng).await,
            Fault::RelayTerm => self.relay_term().await,
            Fault::WalsenderKill => self.walsender_kill().await,
            Fault::WalsenderTerminate => self.walsender_terminate().await,
            Fault::WalsenderStop => self.walsender_stop(rng).await,
            Fault::PostgresKill => self.postgres_kill().await,
            Fault::PostgresStop => self.postgres_stop(rng).await,
            Fault::SlotDrop => self.slot_drop().await,
            Fault::DiskFull => self.disk_full().await,
            Fault::BrokerKill => self.broker_kill(rng).await,
            Fault::BrokerStop => self.broker_stop(rng).await,
            Fault::MemoryAlarm => self.memory_alarm().await,
            Fault::DiskAlarm => self.disk_alarm().await,
            Fault::Unbind => self.unbind().await,
            Fault::ExchangeDelete => self.exchange_delete().await,
            Fault::QueueDelete => self.queue_delete().await,
            Fault::QueueFull => self.queue_full().await,
            Fault::PermissionRevoke => self.permission_revoke().await,
            Fault::Cut => self.cut(rng).await,
            Fault::HalfClose => self.half_close(rng).await,
            Fault::Reset => self.reset(rng).await,
            Fault::Stall => self.stall(rng).await,
            Fault::Latency => self.latency(rng).await,
            Fault::Throttle => self.throttle(rng).await,
            Fault::Blackhole => self.blackhole(rng).await,
        }
    }

    /// Notes that a fault begins now.
    fn blow(&self) -> Blow {
        let now = Instant::now();
        Blow {
            began: now,
            committed: self.load.committed(),
            over: now,
            said: self.relay.stderr().len(),
            repeats: Repeats::OfSessions,
        }
    }
}

impl Blow {
    /// The same, over now.
    fn over(self) -> Self {
        Self {
            over: Instant::now(),
            ..self
        }
    }

    /// The same, over when a new relay was started.
    fn over_with_relay(self, over: Instant) -> Self {
        Self {
            over,
            said: 0,
            ..self
        }
    }
}

/// A time between these two, in milliseconds.
fn milliseconds(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.u64(least..=most))
}
