use bytes::Bytes;
use pgevents_proto::Decoder;
use tokio::io::AsyncRead;

use super::{Input, Source, SourceError};
use crate::{
    delivery::Acknowledged,
    replication::{Message, Reader, StatusTask},
};

/// The frames of the output plugin `pgevents`, an event at a time.
#[derive(Debug)]
pub struct Frames<R> {
    reader: Reader<R>,
    status: StatusTask,
    decoder: Decoder,
    /// The frame that is being read, and the number of its bytes that have been.
    frame: Bytes,
    at: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// The stream behind `reader`, of which `status` reports.
    pub fn new(reader: Reader<R>, status: StatusTask) -> Self {
        Self {
            reader,
            status,
            decoder: Decoder::new(),
            frame: Bytes::new(),
            at: 0,
        }
    }
}

impl<R: AsyncRead + Unpin> Source for Frames<R> {
    fn next(&mut self) -> Result<Option<Input<'_>>, SourceError> {
        if self.at < self.frame.len() {
            let event = self.decoder.event(&self.frame, &mut self.at)?;
            return Ok(Some(Input::Event(event)));
        }
        Ok(match self.reader.message()? {
            None => None,
            Some(Message::XLogData { lsn, frame }) => {
                let bytes = frame.len() as u64;
                (self.frame, self.at) = (frame, 0);
                Some(Input::Data { lsn, bytes })
            }
            Some(Message::Keepalive { wal_end, reply }) => Some(Input::SentUpTo { wal_end, reply }),
            Some(Message::Done) => Some(Input::Ended),
        })
    }

    async fn fill(&mut self) -> Result<(), SourceError> {
        Ok(self.reader.fill().await?)
    }

    fn acknowledge(&mut self, acknowledged: Acknowledged) {
        self.status.acknowledged(acknowledged);
    }

    fn reply(&mut self) {
        self.status.reply();
    }

    fn ask(&mut self) {
        self.status.ping();
    }

    async fn close(mut self) -> Result<(), SourceError> {
        self.status.close().await.map_err(SourceError::Status)?;
        // The server reads the report before it closes; what it still sends will come again.
        while self.reader.fill().await.is_ok() {
            while let Ok(Some(_)) = self.reader.message() {}
        }
        Ok(())
    }
}
