use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::lab::{Lab, Relay};
use crate::sequence::Sequence;

/// Rows that wait: more than the relay may have on its way.
const ROWS: u64 = 10_000;

/// What the relay is given to stop, in seconds.
const STOP_LIMIT: u64 = 2;

/// How often the stream is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a stalled broker did.
#[derive(Debug)]
pub struct Stalled {
    /// How long it took no events.
    pub stalled: Duration,
    /// How often the stream was seen alive, by the same process of the server.
    pub looks: u64,
    /// How long the relay took to stop meanwhile; its limit was 2 s.
    pub stop: Duration,
    /// Highest resident memory of the relay, in bytes.
    pub peak: u64,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "broker blocked for {:.1} s with wal_sender_timeout = 1s: one stream throughout ({} looks), \
             relay {} KiB, its stop given up after {:.1} s of 2 s",
            self.stalled.as_secs_f64(),
            self.looks,
            self.peak / 1024,
            self.stop.as_secs_f64()
        )
    }
}

/// A broker with a memory alarm for `stall`, and a server that gives up a silent relay after a
/// second: the stream stands all the time, and a relay that is told to stop then gives up what is
/// on its way in time and loses nothing. The lab's broker must be its own.
pub async fn stalled_broker(lab: &mut Lab, stall: Duration) -> Stalled {
    lab.allow("the broker takes no events (resource alarm): waiting");
    lab.allow("stopped without all confirms");
    let name = lab.name().to_owned();
    lab.sql("CREATE TABLE orders (id bigint PRIMARY KEY)").await;
    lab.sql("ALTER TABLE orders REPLICA IDENTITY FULL").await;
    lab.sql(&format!(
        "ALTER DATABASE {name} SET wal_sender_timeout = '1s'"
    ))
    .await;
    let mut queue = lab.quorum_queue().await;
    let limit = STOP_LIMIT.to_string();
    let relay = lab.producer().flag("--shutdown-timeout", &limit).start();
    relay.logs("streaming").await;
    lab.rabbitmq().alarm(true).expect("raise the alarm");
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN 1..{ROWS} LOOP INSERT INTO orders VALUES (i); COMMIT; END LOOP; END $$"
    ))
    .await;
    relay.logs("the broker takes no events").await;
    let (stalled, looks) = watch_stream(lab, stall).await;
    let peak = relay.peak_memory_bytes();
    let stop = stop_in_time(&relay).await;
    lab.rabbitmq().alarm(false).expect("end the alarm");
    let again = lab.producer().start();
    let mut sequence = Sequence::default();
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == ROWS
        })
        .await;
    again.stop().await;
    Stalled {
        stalled,
        looks,
        stop,
        peak,
    }
}

/// Looks for so long that the stream is served by one process of the server.
async fn watch_stream(lab: &Lab, stall: Duration) -> (Duration, u64) {
    let name = lab.name();
    let query = format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{name}'");
    let walsender = async || lab.row(&query).await.get::<_, Option<i32>>(0);
    let first = walsender().await;
    assert!(first.is_some(), "the relay streams");
    let started = Instant::now();
    let mut looks = 0;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while started.elapsed() < stall {
        ticks.tick().await;
        let after = started.elapsed();
        assert_eq!(
            walsender().await,
            first,
            "the stream broke within {after:?}"
        );
        looks += 1;
    }
    (started.elapsed(), looks)
}

async fn stop_in_time(relay: &Relay) -> Duration {
    let asked = Instant::now();
    relay.stop().await;
    let took = asked.elapsed();
    let limit = Duration::from_secs(STOP_LIMIT);
    assert!(
        took >= limit,
        "it waits for the broker, but stopped after {took:?}"
    );
    assert!(
        took <= limit + Duration::from_secs(2),
        "stopped after {took:?}"
    );
    took
}
