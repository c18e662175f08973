use std::fmt;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::sequence::Sequence;

/// What the relay may use, whatever the size of a transaction.
pub const MEMORY_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// How long the server may read WAL before it sends the first row.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a large transaction did.
#[derive(Debug)]
pub struct Large {
    /// Its rows.
    pub rows: u64,
    /// WAL that it wrote, in bytes.
    pub wal: u64,
    /// Rows that arrived again after the relay was killed in the middle of it.
    pub repeated: u64,
    /// Highest resident memory of the relays before and after the kill, in bytes.
    pub peaks: [u64; 2],
    /// From its commit to its last row.
    pub took: Duration,
}

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.peaks.map(|bytes| bytes / 1024);
        write!(
            f,
            "one transaction of {} rows and {} MB of WAL: arrived in {:.1} s with the relay killed in \
             the middle, {} rows repeated, relay {before} KiB before and {after} KiB after",
            self.rows,
            self.wal / 1_000_000,
            self.took.as_secs_f64(),
            self.repeated
        )
    }
}

/// One transaction of so many rows with a text of `width` bytes each; the relay is killed when half
/// of them have arrived, and another one sends them all.
pub async fn large_transaction(lab: &mut Lab, rows: u64, width: u64) -> Large {
    lab.allow("slot is in use: waiting until it is free");
    lab.sql(
        "CREATE TABLE bulk (id bigint PRIMARY KEY, note text);
         ALTER TABLE bulk REPLICA IDENTITY FULL; ALTER TABLE bulk ALTER note SET STORAGE EXTERNAL",
    )
    .await;
    let mut queue = lab.quorum_queue().await.patient(PATIENCE);
    let relay = lab.producer().start();
    relay.logs("streaming").await;
    let wal = written(lab).await;
    lab.sql(&format!(
        "INSERT INTO bulk SELECT i, repeat(chr(97 + (i % 26)::int), {width})
           FROM generate_series(1, {rows}) i"
    ))
    .await;
    let wal = written(lab).await - wal;
    let committed = Instant::now();
    let mut sequence = Sequence::default();
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == rows / 2
        })
        .await;
    let first = relay.peak_memory_bytes();
    relay.kill().await;
    let relay = lab.producer().start();
    queue
        .until(|event| {
            sequence.take(&event);
            sequence.last == rows
        })
        .await;
    let took = committed.elapsed();
    let peaks = [first, relay.peak_memory_bytes()];
    for peak in peaks {
        assert!(peak <= MEMORY_LIMIT_BYTES, "{peak} bytes of memory");
    }
    // Before the second relay repeats what the first one sent, nothing new can arrive.
    assert!(
        sequence.repeated >= rows / 2,
        "a transaction that was not complete is sent as a whole"
    );
    relay.stop().await;
    Large {
        rows,
        wal,
        repeated: sequence.repeated,
        peaks,
        took,
    }
}

/// WAL that the server has written so far, in bytes.
async fn written(lab: &Lab) -> u64 {
    let query = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
    let bytes: i64 = lab.row(query).await.get(0);
    bytes.unsigned_abs()
}
