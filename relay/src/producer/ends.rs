//! Both ends of a relay as the loop sees them: the servers as configured, or those of a simulation.

use std::{pin::Pin, time::Duration};

use pgevents_proto::Lsn;
use tokio::sync::watch;

use super::ProducerError;
use crate::{
    phase::Phase,
    position::{Disk, Recorder, System, Timelines},
    postgres::PostgresError,
    sink::{Sink, SinkError},
    source::Source,
};

/// How both ends are reached.
#[allow(
    async_fn_in_trait,
    reason = "one thread does all the work: no future has to be sent"
)]
pub trait Ends {
    /// Where events go.
    type Sink: Sink;
    /// Where they come from, before the stream is started.
    type Server<'a>: Server<Disk = Self::Disk>
    where
        Self: 'a;
    /// Where the state file is kept.
    type Disk: Disk;

    /// Opens the sink.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or it refuses.
    async fn open_sink(&self) -> Result<Self::Sink, SinkError>;

    /// Connects to the server and waits until no other relay reads the slot. `enter` is told what
    /// the relay does meanwhile.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, refuses, or cannot be used.
    async fn connect(&self, enter: &dyn Fn(Phase)) -> Result<Self::Server<'_>, ProducerError>;
}

/// A server that is connected, with a slot that nobody reads.
#[allow(
    async_fn_in_trait,
    reason = "one thread does all the work: no future has to be sent"
)]
pub trait Server {
    /// What the stream is.
    type Source: Source;
    /// Where the state file is kept.
    type Disk: Disk;

    /// What was found.
    fn seen(&self) -> Seen;

    /// Creates the slot, and returns where it stands.
    ///
    /// # Errors
    ///
    /// The server refuses.
    async fn create_slot(&self) -> Result<Lsn, ProducerError>;

    /// Starts to stream from a position on; what is acknowledged goes through `recorder`.
    ///
    /// # Errors
    ///
    /// The server refuses.
    async fn stream(
        self,
        from: Lsn,
        recorder: Recorder<Self::Disk>,
    ) -> Result<Streaming<Self::Source>, ProducerError>;
}

/// The server and the slot at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Cluster and timeline.
    pub system: System,
    /// Where its WAL ends.
    pub wal_end: Lsn,
    /// Where the slot stands; `None`: there is no slot.
    pub slot: Option<Lsn>,
    /// Where it stood when another relay was last seen to have it; `None`: none was.
    pub others: Option<Lsn>,
}

/// A stream that runs.
pub struct Streaming<S> {
    /// What it gives.
    pub source: S,
    /// On which timelines the WAL was written.
    pub timelines: Timelines,
    /// Ends when the server says that it shuts down.
    pub server_stops: Pin<Box<dyn Future<Output = PostgresError>>>,
    /// Is told whether something is on its way.
    pub busy: watch::Sender<bool>,
    /// A relay that stood still for longer may have been taken for dead, and its slot over.
    pub longest_standstill: Duration,
}
