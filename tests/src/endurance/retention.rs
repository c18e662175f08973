use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::lab::{Lab, PATIENCE};

/// WAL that our slot may hold back while others write, in bytes: four segments.
const RETAINED_LIMIT: i64 = 4 * 16 * 1024 * 1024;

/// Bytes that are written between two looks.
const PIECE: u64 = 16 * 1024 * 1024;

/// What another database's changes did to an idle slot.
#[derive(Debug)]
pub struct Retained {
    /// WAL that was written, in bytes.
    pub written: u64,
    /// Most WAL that the slot held back right after a checkpoint, in bytes.
    pub most: i64,
    /// Longest time after a piece until the slot held back no more than four segments.
    pub longest: Duration,
}

impl fmt::Display for Retained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MB of WAL by another database: the idle slot held back {:.1} MB at most when a piece \
             was written, and was within 4 segments after {:.2} s at the latest",
            self.written / 1_000_000,
            self.most as f64 / 1e6,
            self.longest.as_secs_f64()
        )
    }
}

/// Another database writes `bytes` of WAL while ours is idle: the slot moves on without an event.
///
/// A slot lets go of WAL where the server has noted which transactions run. It does so every 15 s
/// and with each checkpoint; here it is asked for one after every 16 MB. The lab's server must be
/// its own, as an open transaction anywhere holds back every slot.
pub async fn other_database(lab: &mut Lab, bytes: u64) -> Retained {
    lab.create_slot().await;
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    let other = format!("{}_other", lab.name());
    lab.sql(&format!("CREATE DATABASE {other}")).await;
    let client = lab.postgres().connect(&other).await.expect("connect");
    let run = async |sql: String| {
        client
            .batch_execute(&sql)
            .await
            .expect("run in the other one")
    };
    run("CREATE TABLE filler (bytes text)".into()).await;
    let (mut written, mut most, mut longest) = (0, 0, Duration::ZERO);
    while written < bytes {
        // Rows of 1,000 bytes that are not compressed.
        run(format!(
            "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, {})",
            PIECE / 1_000
        ))
        .await;
        run("TRUNCATE filler; CHECKPOINT".into()).await;
        written += PIECE;
        most = most.max(retained(lab).await);
        longest = longest.max(within_limit(lab).await);
    }
    relay.stop().await;
    Retained {
        written,
        most,
        longest,
    }
}

/// WAL that this lab's slot holds back, in bytes.
async fn retained(lab: &Lab) -> i64 {
    let name = lab.name();
    let query = format!(
        "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint FROM pg_replication_slots
           WHERE slot_name = '{name}'"
    );
    lab.row(&query).await.get(0)
}

/// Waits until the slot holds back no more than it may.
async fn within_limit(lab: &Lab) -> Duration {
    let started = Instant::now();
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let bytes = retained(lab).await;
        if bytes <= RETAINED_LIMIT {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the slot holds back {bytes} bytes"
        );
        ticks.tick().await;
    }
}
