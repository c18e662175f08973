use std::{fmt, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::SlotError;
use crate::{
    postgres::{SlotStatus, Sql},
    quantity::{Bytes, Span},
};

/// A slot, and how fast its server writes WAL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The slot as the server shows it.
    pub slot: SlotStatus,
    /// Bytes of WAL a second; `None`: not watched.
    pub wal_rate: Option<f64>,
}

impl Status {
    /// Looks at the slot for so many seconds.
    ///
    /// # Errors
    ///
    /// [`SlotError::Missing`], or the server could not be asked.
    pub async fn look(sql: &Sql<'_>, name: &str, seconds: u32) -> Result<Self, SlotError> {
        let found = async || {
            let slot = SlotStatus::of(sql, name).await?;
            slot.ok_or_else(|| SlotError::Missing(name.to_owned()))
        };
        let (mut slot, started) = (found().await?, Instant::now());
        let mut wal_rate = None;
        if seconds > 0 {
            let before = slot.current;
            sleep(Duration::from_secs(seconds.into())).await;
            slot = found().await?;
            let written = slot
                .current
                .zip(before)
                .map(|(now, then)| now.0.saturating_sub(then.0));
            wal_rate = written.map(|bytes| bytes as f64 / started.elapsed().as_secs_f64());
        }
        Ok(Self {
            name: name.to_owned(),
            slot,
            wal_rate,
        })
    }

    /// Seconds behind the server: what the server measured, or 0 when nothing is missing; otherwise
    /// how long WAL takes to grow by as much at the current rate, an estimate.
    pub fn lag_seconds(&self) -> Option<f64> {
        match (self.slot.lag_bytes?, self.slot.lag_seconds) {
            (..=0, _) => Some(0.0),
            (_, Some(measured)) => Some(measured),
            (bytes, None) => self.seconds_for(bytes),
        }
    }

    /// Seconds until the server gives the slot up at the current rate; `None`: it will not, or the
    /// rate is not known.
    pub fn seconds_to_loss(&self) -> Option<f64> {
        self.seconds_for(self.slot.safe_bytes?)
    }

    /// What holds the acknowledged position back, in words, as far as the server can tell.
    pub fn held_by(&self) -> String {
        match (self.slot.lag_bytes, self.slot.active_pid) {
            _ if self.slot.wal_status == "lost" => "its loss: it cannot go on".to_owned(),
            (Some(..=0), _) => "nothing".to_owned(),
            (_, None) => "nobody reads it".to_owned(),
            (_, Some(pid)) => {
                format!("its reader, process {pid}; what that waits for, its log and /readyz say")
            }
        }
    }

    /// The whole as one JSON object; what is not known is null.
    pub fn json(&self) -> serde_json::Value {
        let slot = &self.slot;
        let lsn = |position: Option<pgevents_proto::Lsn>| position.map(|lsn| lsn.to_string());
        json!({
            "slot": self.name,
            "plugin": slot.plugin,
            "database": slot.database,
            "active_pid": slot.active_pid,
            "wal_status": slot.wal_status,
            "acknowledged_lsn": lsn(slot.acknowledged),
            "server_lsn": lsn(slot.current),
            "lag_bytes": slot.lag_bytes,
            "lag_seconds": self.lag_seconds(),
            "held_by": self.held_by(),
            "retained_wal_bytes": slot.retained_bytes,
            "safe_wal_bytes": slot.safe_bytes,
            "wal_bytes_per_second": self.wal_rate,
            "seconds_to_loss": self.seconds_to_loss(),
            "failover": slot.failover,
            "inactive_since": slot.inactive_since,
            "invalidation_reason": slot.invalidation_reason,
        })
    }

    fn seconds_for(&self, bytes: i64) -> Option<f64> {
        let rate = self.wal_rate.filter(|rate| *rate > 0.0)?;
        Some(bytes.max(0) as f64 / rate)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = &self.slot;
        let lsn = |position: Option<pgevents_proto::Lsn>| match position {
            Some(lsn) => lsn.to_string(),
            None => "nowhere".to_owned(),
        };
        writeln!(
            f,
            "slot          {}, plugin {}, database {}",
            self.name, slot.plugin, slot.database
        )?;
        match (slot.active_pid, &slot.inactive_since) {
            (Some(pid), _) => writeln!(f, "reader        process {pid}")?,
            (None, Some(since)) => writeln!(f, "reader        none since {since}")?,
            (None, None) => writeln!(f, "reader        none")?,
        }
        writeln!(
            f,
            "position      acknowledged {}, server at {}",
            lsn(slot.acknowledged),
            lsn(slot.current)
        )?;
        write!(
            f,
            "behind        {}",
            Bytes(slot.lag_bytes.unwrap_or_default())
        )?;
        match self.lag_seconds() {
            Some(lag) if slot.lag_seconds.is_none() && lag > 0.0 => {
                writeln!(f, ", about {} at the current rate", Span(lag))?;
            }
            Some(lag) => writeln!(f, ", {}", Span(lag))?,
            None => writeln!(f)?,
        }
        writeln!(f, "held by       {}", self.held_by())?;
        match slot.retained_bytes {
            Some(retained) => writeln!(f, "WAL kept      {}", Bytes(retained))?,
            None => writeln!(f, "WAL kept      none")?,
        }
        if let Some(rate) = self.wal_rate {
            writeln!(f, "WAL written   {} a second", Bytes(rate as i64))?;
        }
        write!(f, "wal_status    {}", slot.wal_status)?;
        if let Some(reason) = &slot.invalidation_reason {
            write!(f, " ({reason})")?;
        }
        match (slot.safe_bytes, self.seconds_to_loss()) {
            (Some(safe), Some(seconds)) => writeln!(
                f,
                "; lost after {} more, in {} at the current rate",
                Bytes(safe),
                Span(seconds)
            )?,
            (Some(safe), None) => writeln!(f, "; lost after {} more", Bytes(safe))?,
            (None, _) if slot.wal_status == "lost" => writeln!(f)?,
            (None, _) => writeln!(f, "; no limit (max_slot_wal_keep_size = -1)")?,
        }
        match slot.failover {
            Some(failover) => writeln!(f, "failover      {}", if failover { "yes" } else { "no" }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pgevents_proto::Lsn;

    use super::*;

    fn status() -> Status {
        Status {
            name: "s".to_owned(),
            slot: SlotStatus {
                plugin: "pgevents".to_owned(),
                database: "shop".to_owned(),
                wal_status: "reserved".to_owned(),
                acknowledged: Some(Lsn(0x100)),
                current: Some(Lsn(0x100 + 2048)),
                lag_bytes: Some(2_048),
                retained_bytes: Some(16 << 20),
                safe_bytes: Some(1 << 30),
                ..SlotStatus::default()
            },
            wal_rate: Some(1_048_576.0),
        }
    }

    #[test]
    fn times_follow_from_the_rate() {
        let mut status = status();
        assert_eq!(status.seconds_to_loss(), Some(1_024.0));
        assert_eq!(status.lag_seconds(), Some(2_048.0 / 1_048_576.0));
        status.wal_rate = Some(0.0);
        assert_eq!(
            (status.seconds_to_loss(), status.lag_seconds()),
            (None, None)
        );
    }

    #[test]
    fn what_the_server_measured_comes_before_an_estimate() {
        let mut status = status();
        status.slot.lag_seconds = Some(7.5);
        assert_eq!(status.lag_seconds(), Some(7.5));
        status.slot.lag_bytes = Some(0);
        assert_eq!(status.lag_seconds(), Some(0.0));
    }

    #[test]
    fn what_holds_the_position_back_is_said_in_words() {
        let mut status = status();
        assert_eq!(status.held_by(), "nobody reads it");
        status.slot.active_pid = Some(7);
        assert!(status.held_by().starts_with("its reader, process 7"));
        status.slot.lag_bytes = Some(0);
        assert_eq!(status.held_by(), "nothing");
        status.slot.wal_status = "lost".to_owned();
        assert_eq!(status.held_by(), "its loss: it cannot go on");
    }

    #[test]
    fn text_and_json_say_the_same() {
        let status = status();
        let text = status.to_string();
        for part in [
            "plugin pgevents, database shop",
            "acknowledged 0/100, server at 0/900",
            "2.0 KiB, about 0.0 s",
            "lost after 1.0 GiB more, in 17 min 4 s",
            "held by       nobody reads it",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let json = status.json();
        assert_eq!(json["acknowledged_lsn"], "0/100");
        assert_eq!(json["seconds_to_loss"], 1_024.0);
        assert_eq!(json["held_by"], "nobody reads it");
        assert!(json["active_pid"].is_null());
    }
}
