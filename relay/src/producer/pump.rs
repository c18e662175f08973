use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use pgevents_proto::{
    Action, Change, DecodeError, Decoder, Event, EventJson, EventKeyPrefix, Lsn, Message,
    PG_EPOCH_UNIX_MICROS, Relation, ReplicaIdentity,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::{ProducerError, session::Opened};
use crate::{
    ack::AckTracker,
    config::Producer,
    postgres::quote_identifier,
    publish::{Confirmed, Health, LONGEST_KEY, Outgoing, PublishError, Sink, Window},
    shutdown::Shutdown,
    walsender::{self, Reader, StatusTask},
};

/// Silence of the server after which the relay asks for a sign of life, and after which it gives up.
const ASK_AFTER: Duration = Duration::from_secs(12);
const SILENT_AFTER: Duration = Duration::from_secs(25);

/// How often clocks are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the server may take to end the stream after everything has been acknowledged.
const FAREWELL: Duration = Duration::from_secs(2);

/// Prefix of logical messages that are events; the rest of it is the routing key.
const MESSAGE_PREFIX: &str = "pgevents:";

/// One session's way of an event from the stream to its acknowledgement.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    config: &'a Producer,
    reader: Reader,
    status: Option<StatusTask>,
    out: Out<'a>,
    /// When the server was last heard.
    heard: Instant,
    asked: bool,
}

/// The part behind the decoder.
#[derive(Debug)]
struct Out<'a> {
    sink: Sink,
    ack: AckTracker,
    window: Window,
    advised: &'a mut HashSet<String>,
    confirm_timeout: Duration,
    /// When an event last arrived, or went into an empty window.
    arrived_at: Instant,
    blocked: bool,
    system_id: u64,
    key: EventKeyPrefix,
    /// Seconds since 1970.
    commit_time: u64,
    json: EventJson,
    body: Vec<u8>,
    message_id: String,
    arrived: Vec<Confirmed>,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// The JSON that stands in `Out::body`.
    Event { partial_old: bool },
    /// The content of a logical message.
    Message(&'a [u8]),
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        config: &'a Producer,
        opened: Opened,
        sink: Sink,
        advised: &'a mut HashSet<String>,
    ) -> Self {
        let out = Out {
            sink,
            ack: AckTracker::new(),
            window: Window::new(config.window_messages, config.window_bytes),
            advised,
            confirm_timeout: config.confirm_timeout,
            arrived_at: Instant::now(),
            blocked: false,
            system_id: opened.system.id,
            key: EventKeyPrefix::default(),
            commit_time: 0,
            json: EventJson::new(),
            body: Vec::new(),
            message_id: String::new(),
            arrived: Vec::new(),
        };
        Self {
            config,
            reader: opened.reader,
            status: Some(opened.status),
            out,
            heard: Instant::now(),
            asked: false,
        }
    }

    /// Runs until something fails, or until a requested stop is complete.
    pub(super) async fn run(&mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let limit = self.config.shutdown_timeout;
        let outcome = tokio::select! {
            outcome = self.stream(shutdown) => Some(outcome),
            () = async { shutdown.requested().await; sleep(limit).await } => None,
        };
        match outcome {
            Some(Err(failure)) if shutdown.is_requested() => {
                let in_flight = self.out.ack.in_flight();
                warn!(
                    in_flight,
                    "stopped by a failure, sent events may be repeated: {failure}"
                );
                Ok(())
            }
            Some(outcome) => outcome,
            None => {
                let in_flight = self.out.ack.in_flight();
                warn!(
                    in_flight,
                    after = %self.out.ack.flush(),
                    "stopped without all confirms: what follows will be sent again"
                );
                Ok(())
            }
        }
    }

    /// The highest position that was acknowledged, and the sink if another session may use it.
    pub(super) fn end(self) -> (Lsn, Option<Sink>) {
        let idle = self.out.window.is_empty() && self.out.sink.check().is_ok();
        (self.out.ack.flush(), idle.then_some(self.out.sink))
    }

    async fn stream(&mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let mut decoder = Decoder::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while !shutdown.is_requested() || self.out.ack.is_open() {
                let Some(message) = self.reader.message()? else {
                    break;
                };
                self.take(message, &mut decoder).await?;
            }
            self.report();
            if shutdown.is_requested() && !self.out.ack.is_open() {
                return self.finish().await;
            }
            tokio::select! {
                biased;
                confirmed = self.out.sink.confirmed(&mut self.out.arrived) => {
                    confirmed?;
                    self.out.settle();
                }
                filled = self.reader.fill() => {
                    filled?;
                    self.heard = Instant::now();
                    self.asked = false;
                }
                _ = tick.tick() => self.look_at_clocks()?,
                () = shutdown.requested(), if !shutdown.is_requested() => {}
            }
        }
    }

    async fn take(
        &mut self,
        message: walsender::Message,
        decoder: &mut Decoder,
    ) -> Result<(), ProducerError> {
        match message {
            walsender::Message::XLogData(frame) => self.frame(&frame, decoder).await,
            walsender::Message::Keepalive { wal_end, reply } => {
                self.out.ack.keepalive(wal_end);
                self.report();
                if reply && let Some(status) = &self.status {
                    status.reply();
                }
                Ok(())
            }
            walsender::Message::Done => Err(ProducerError::Ended),
        }
    }

    async fn frame(&mut self, frame: &Bytes, decoder: &mut Decoder) -> Result<(), ProducerError> {
        let mut events = decoder.frame(frame);
        loop {
            let event = events
                .next()
                .map_err(|error| undecodable(error, &self.out.ack))?;
            let Some(event) = event else { return Ok(()) };
            self.out.event(event);
            if !self.out.window.has_room() {
                make_room(&mut self.out, self.status.as_ref()).await?;
                // Nobody listened to the server meanwhile.
                self.heard = Instant::now();
            }
        }
    }

    /// Passes on how far the server may forget.
    fn report(&self) {
        if let Some(status) = &self.status {
            status.flushed(self.out.ack.flush());
        }
    }

    fn look_at_clocks(&mut self) -> Result<(), ProducerError> {
        self.out.look_at_clock()?;
        let silent = self.heard.elapsed();
        if silent > SILENT_AFTER {
            return Err(ProducerError::Silent(silent));
        }
        if let Some(status) = &self.status
            && silent > ASK_AFTER
            && !self.asked
        {
            status.ping();
            self.asked = true;
        }
        Ok(())
    }

    /// Waits for the last confirms, acknowledges them, and sees the server end the stream.
    async fn finish(&mut self) -> Result<(), ProducerError> {
        while self.out.ack.in_flight() > 0 {
            self.out.sink.confirmed(&mut self.out.arrived).await?;
            self.out.settle();
        }
        self.report();
        let Some(status) = self.status.take() else {
            return Ok(());
        };
        status.close().await.map_err(ProducerError::Status)?;
        let farewell = async {
            // The server reads the report before it closes; what it still sends will come again.
            while self.reader.fill().await.is_ok() {
                while let Ok(Some(_)) = self.reader.message() {}
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            debug!("the server has not closed the connection in time");
        }
        info!(acknowledged = %self.out.ack.flush(), "stopped: everything sent is confirmed");
        Ok(())
    }
}

/// Waits until the window has room again; the position moves on meanwhile.
async fn make_room(out: &mut Out<'_>, status: Option<&StatusTask>) -> Result<(), ProducerError> {
    let mut tick = interval(TICK);
    while !out.window.has_room() {
        tokio::select! {
            biased;
            confirmed = out.sink.confirmed(&mut out.arrived) => {
                confirmed?;
                out.settle();
                if let Some(status) = status {
                    status.flushed(out.ack.flush());
                }
            }
            _ = tick.tick() => out.look_at_clock()?,
        }
    }
    Ok(())
}

impl Out<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Hello(hello) => debug!(
                plugin = hello.plugin_version,
                server = hello.server_version_num,
                encoding = hello.database_encoding,
                options = hello.options.join(" "),
                "plugin says hello"
            ),
            Event::Relation(relation) => self.advise(relation, relation.routing_key()),
            Event::Begin(begin) => {
                self.ack.begin();
                self.key
                    .reset(self.system_id, begin.end_lsn, begin.commit_time);
                let micros = begin.commit_time.saturating_add(PG_EPOCH_UNIX_MICROS);
                self.commit_time = u64::try_from(micros / 1_000_000).unwrap_or(0);
            }
            Event::Change(change) => self.change(&change),
            Event::Message(message) => self.message(&message),
            Event::Commit(commit) => self.ack.commit(commit.end_lsn),
        }
    }

    fn change(&mut self, change: &Change<'_>) {
        self.body.clear();
        self.json.write(change, &mut self.body);
        self.message_id.clear();
        self.key.write(change.index, &mut self.message_id);
        let partial_old = match change.action {
            Action::Update | Action::Delete => !change.old_complete,
            Action::Insert | Action::Truncate | Action::Message => false,
        };
        self.publish(change.relation.routing_key(), Body::Event { partial_old });
    }

    fn message(&mut self, message: &Message<'_>) {
        let Some(routing_key) = message.prefix.strip_prefix(MESSAGE_PREFIX) else {
            return;
        };
        self.message_id.clear();
        match message.index {
            Some(index) => self.key.write(index, &mut self.message_id),
            // Outside any transaction: its own position names it, and no commit ends there.
            None => {
                EventKeyPrefix::new(self.system_id, message.lsn, 0).write(0, &mut self.message_id)
            }
        }
        if routing_key.len() > LONGEST_KEY && self.advised.insert(MESSAGE_PREFIX.to_owned()) {
            let bytes = routing_key.len();
            warn!(
                bytes,
                "routing key of a logical message is longer than 255 bytes, the most that AMQP carries: \
                 it is cut"
            );
        }
        self.publish(routing_key, Body::Message(message.content));
    }

    fn publish(&mut self, routing_key: &str, body: Body<'_>) {
        let (body, utf8, partial_old) = match body {
            Body::Event { partial_old } => (self.body.as_slice(), true, partial_old),
            Body::Message(content) => (content, std::str::from_utf8(content).is_ok(), false),
        };
        if self.window.is_empty() {
            self.arrived_at = Instant::now();
        }
        self.window.add(body.len() as u64);
        let number = self.ack.published();
        let (message_id, commit_time) = (&self.message_id, self.commit_time);
        self.sink.publish(
            number,
            Outgoing {
                routing_key,
                message_id,
                partial_old,
                utf8,
                commit_time,
                body,
            },
        );
    }

    /// Takes note of what has arrived.
    fn settle(&mut self) {
        self.arrived_at = Instant::now();
        for Confirmed { number, bytes } in self.arrived.drain(..) {
            self.window.remove(bytes);
            self.ack.confirm(number);
        }
    }

    fn look_at_clock(&mut self) -> Result<(), PublishError> {
        let blocked = match self.sink.check()? {
            Health::Ready => false,
            Health::Blocked => true,
        };
        if blocked || self.window.is_empty() {
            self.arrived_at = Instant::now();
        }
        if blocked != self.blocked && matches!(self.sink, Sink::Rabbitmq(_)) {
            self.blocked = blocked;
            match blocked {
                true => warn!("the broker takes no events (resource alarm): waiting"),
                false => info!("the broker takes events again"),
            }
        }
        match self.arrived_at.elapsed() > self.confirm_timeout {
            true => Err(PublishError::Silent(self.confirm_timeout)),
            false => Ok(()),
        }
    }

    /// Says once for each table what its events lack without the old row.
    fn advise(&mut self, relation: &Relation, name: &str) {
        match relation.replica_identity {
            ReplicaIdentity::Full => {}
            ReplicaIdentity::Key | ReplicaIdentity::Nothing => {
                if self.advised.insert(name.to_owned()) {
                    warn!(
                        table = name,
                        "updates and deletes come without the whole old row; for all of old and diff, run: ALTER TABLE {}.{} \
                         REPLICA IDENTITY FULL;",
                        quote_identifier(&relation.schema),
                        quote_identifier(&relation.name)
                    );
                }
            }
        }
    }
}

fn undecodable(error: DecodeError, ack: &AckTracker) -> ProducerError {
    match error {
        DecodeError::Version(_) => ProducerError::Version(error),
        source => ProducerError::Frame {
            after: ack.flush(),
            source,
        },
    }
}
