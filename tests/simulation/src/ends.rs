//! The relay's ends, as [`pgevents_relay::producer`] sees them, with the fakes behind them.

use std::{future, io, task::Poll, time::Duration};

use bytes::BytesMut;
use pgevents_proto::{Event, Lsn};
use pgevents_relay::{
    delivery::Acknowledged,
    phase::Phase,
    position::{Recorder, System, Timelines},
    postgres::{ChannelBinding, Password, Postgres, PostgresError, TlsMode},
    producer::{Ends, ProducerError, Seen, Server, Streaming},
    replication::{Reader, StatusTask},
    sink::{Claim, Health, Limits, Outcome, Outgoing, Sink, SinkError},
    source::{Frames, Input, Source, SourceError},
    tls::Certificates,
};
use tokio::{sync::watch, time::sleep};

use crate::{broker::Message, disk::Disk, link::Half, oracle::SYSTEM, world::Shared};

/// Longest pause between two reports of the relay.
pub const REPORTS: Duration = Duration::from_secs(4);

/// Both servers.
#[derive(Debug)]
pub struct FakeEnds(pub Shared);

/// A server that is connected.
#[derive(Debug)]
pub struct FakeServer<'a> {
    world: &'a Shared,
    seen: Seen,
}

/// Frames from the fake server, through the relay's own reader; the world sees what is
/// acknowledged.
#[derive(Debug)]
pub struct FakeSource {
    frames: Frames<Half>,
    session: Ongoing,
}

/// A session of the relay, until it is over.
#[derive(Debug)]
struct Ongoing(Shared);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.lock().relay.reported_at = None;
    }
}

/// The relay's connection to the broker.
#[derive(Debug)]
pub struct FakeSink {
    world: Shared,
    connection: u64,
}

impl Ends for FakeEnds {
    type Sink = FakeSink;
    type Server<'a> = FakeServer<'a>;
    type Disk = Disk;

    async fn open_sink(&self) -> Result<FakeSink, SinkError> {
        let pause = self.0.lock().pause();
        sleep(pause).await;
        let connection = self.0.lock().open_broker();
        let world = self.0.clone();
        match connection {
            Some(connection) => Ok(FakeSink { world, connection }),
            None => Err(SinkError::Lost("the broker is down".into())),
        }
    }

    async fn connect(&self, enter: &dyn Fn(Phase)) -> Result<FakeServer<'_>, ProducerError> {
        enter(Phase::Connecting);
        let pause = self.0.lock().pause();
        sleep(pause).await;
        let world = &self.0;
        match world.lock().seen() {
            Some(seen) => Ok(FakeServer { world, seen }),
            None => Err(PostgresError::Lost(io::ErrorKind::ConnectionRefused.into()).into()),
        }
    }
}

impl Server for FakeServer<'_> {
    type Source = FakeSource;
    type Disk = Disk;

    fn seen(&self) -> Seen {
        self.seen
    }

    async fn create_slot(&self) -> Result<Lsn, ProducerError> {
        Ok(self.world.lock().create_slot())
    }

    async fn stream(
        self,
        from: Lsn,
        recorder: Recorder<Disk>,
    ) -> Result<Streaming<FakeSource>, ProducerError> {
        let number = self.world.lock().start_stream(from);
        let half = || Half {
            world: self.world.clone(),
            number,
        };
        let status = StatusTask::start(half(), REPORTS, recorder);
        let reader = Reader::new(half(), BytesMut::new(), server());
        Ok(Streaming {
            source: FakeSource {
                frames: Frames::new(reader, status),
                session: Ongoing(self.world.clone()),
            },
            timelines: Timelines::only(1),
            server_stops: Box::pin(future::pending()),
            busy: watch::Sender::new(false),
            longest_standstill: Duration::MAX,
        })
    }
}

/// The one system that there is.
pub const fn system() -> System {
    System {
        id: SYSTEM,
        timeline: 1,
    }
}

/// What errors call the server by.
fn server() -> Postgres {
    Postgres {
        host: "simulated".to_owned(),
        port: 5432,
        database: "d".to_owned(),
        user: "relay".to_owned(),
        password: Password::None,
        tls: TlsMode::Disable,
        certificates: Certificates::default(),
        channel_binding: ChannelBinding::Disable,
    }
}

impl Source for FakeSource {
    fn next(&mut self) -> Result<Option<Input<'_>>, SourceError> {
        let input = self.frames.next()?;
        if let Some(Input::Event(Event::Commit(commit))) = &input {
            self.session.0.lock().relay.committed = commit.end_lsn.0;
        }
        Ok(input)
    }

    async fn fill(&mut self) -> Result<(), SourceError> {
        self.frames.fill().await
    }

    fn acknowledge(&mut self, acknowledged: Acknowledged) {
        let world = &mut *self.session.0.lock();
        world.acknowledges(acknowledged.wal);
        world.relay.acknowledged = world.relay.acknowledged.max(acknowledged.commit.end.0);
        self.frames.acknowledge(acknowledged);
    }

    fn reply(&mut self) {
        self.frames.reply();
    }

    fn ask(&mut self) {
        self.frames.ask();
    }

    async fn close(self) -> Result<(), SourceError> {
        let Self {
            frames,
            session: _until_then,
        } = self;
        frames.close().await
    }
}

impl Sink for FakeSink {
    fn publish(&mut self, number: u64, message: Outgoing<'_>) {
        let broker = &mut self.world.lock().broker;
        if broker.connection == self.connection {
            broker.wire.push_back(Message {
                number,
                message_id: message.message_id.into(),
                routing_key: message.routing_key.into(),
                body: message.body.into(),
                parked: false,
            });
        }
    }

    async fn claim(&mut self, _stream: &str) -> Result<Claim, SinkError> {
        Ok(Claim::Sole)
    }

    async fn outcomes(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), SinkError> {
        future::poll_fn(|cx| {
            let mut world = self.world.lock();
            if world.broker.connection != self.connection {
                return Poll::Ready(Err(cut()));
            }
            let heard = world.outcomes();
            if heard.is_empty() {
                world.broker.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            outcomes.extend(heard);
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn health(&self) -> Result<Health, SinkError> {
        let broker = &self.world.lock().broker;
        match (broker.connection == self.connection, broker.alarm) {
            (false, _) => Err(cut()),
            (true, true) => Ok(Health::Blocked),
            (true, false) => Ok(Health::Ready),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            longest_key: Some(255),
            largest_body: Some(self.world.lock().broker.largest_body),
        }
    }
}

fn cut() -> SinkError {
    SinkError::Lost("the connection was cut".into())
}
