//! Where events come from: a replication slot, whichever plugin decodes it, or what stands in for
//! one.

mod error;
mod frames;

pub use error::SourceError;
pub use frames::Frames;

use pgevents_proto::{Event, Lsn};

use crate::{delivery::Acknowledged, postgres::Stream};

/// What a stream of changes can do. Its start is [`crate::producer::Server::stream`].
#[allow(
    async_fn_in_trait,
    reason = "one thread does all the work: no future has to be sent"
)]
pub trait Source {
    /// The next thing that has already arrived, lent until the next call; `None`: wait with
    /// [`Source::fill`].
    ///
    /// # Errors
    ///
    /// What the server refuses, or bytes that break the contract. The source is of no use then.
    fn next(&mut self) -> Result<Option<Input<'_>>, SourceError>;

    /// Waits until more has arrived. May be given up at any time without loss.
    ///
    /// # Errors
    ///
    /// The connection broke.
    async fn fill(&mut self) -> Result<(), SourceError>;

    /// Everything up to there has arrived where it must: the server is told soon. Never waits.
    fn acknowledge(&mut self, acknowledged: Acknowledged);

    /// The server wants to hear from the relay at once. Never waits.
    fn reply(&mut self);

    /// Asks the server for a sign of life. Never waits.
    fn ask(&mut self);

    /// Makes the last report, and sees the server end the stream.
    ///
    /// # Errors
    ///
    /// The report could not be made.
    async fn close(self) -> Result<(), SourceError>;
}

/// One thing that a source gives.
#[derive(Debug)]
pub enum Input<'a> {
    /// So many bytes came, whose last change stands at `lsn`; what they say comes next.
    Data {
        /// Position of the last change in them.
        lsn: Lsn,
        /// Number of bytes.
        bytes: u64,
    },
    /// An event.
    Event(Event<'a>),
    /// Everything before `wal_end` has been sent.
    SentUpTo {
        /// The server's position.
        wal_end: Lsn,
        /// Whether the server wants to hear from the relay at once.
        reply: bool,
    },
    /// The server has ended the stream.
    Ended,
}

/// The sources that ship.
#[derive(Debug)]
pub enum AnySource {
    /// Frames of the output plugin.
    Frames(Box<Frames<tokio::io::ReadHalf<Stream>>>),
}

impl Source for AnySource {
    fn next(&mut self) -> Result<Option<Input<'_>>, SourceError> {
        match self {
            Self::Frames(frames) => frames.next(),
        }
    }

    async fn fill(&mut self) -> Result<(), SourceError> {
        match self {
            Self::Frames(frames) => frames.fill().await,
        }
    }

    fn acknowledge(&mut self, acknowledged: Acknowledged) {
        match self {
            Self::Frames(frames) => frames.acknowledge(acknowledged),
        }
    }

    fn reply(&mut self) {
        match self {
            Self::Frames(frames) => frames.reply(),
        }
    }

    fn ask(&mut self) {
        match self {
            Self::Frames(frames) => frames.ask(),
        }
    }

    async fn close(self) -> Result<(), SourceError> {
        match self {
            Self::Frames(frames) => frames.close().await,
        }
    }
}
