//! The slot of a lab.

use pgevents_proto::Lsn;

use super::Lab;

impl Lab {
    /// Creates this lab's slot with the plugin under test.
    pub async fn create_slot(&self) {
        let name = &self.name;
        self.row(&format!(
            "SELECT pg_create_logical_replication_slot('{name}', 'pgevents')"
        ))
        .await;
    }

    /// Where this lab's slot stands: everything before it is acknowledged.
    pub async fn acknowledged(&self) -> Lsn {
        let name = &self.name;
        let query = format!(
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{name}'"
        );
        let text: String = self.row(&query).await.get(0);
        text.parse().expect("PostgreSQL prints positions")
    }

    /// Waits until the slot stands behind everything that has been written so far.
    pub async fn everything_is_acknowledged(&self) {
        let name = &self.name;
        self.sql(&format!(
            "DO $$ DECLARE written pg_lsn := pg_current_wal_lsn(); BEGIN
               WHILE (SELECT confirmed_flush_lsn < written FROM pg_replication_slots
                      WHERE slot_name = '{name}') LOOP END LOOP; END $$"
        ))
        .await;
    }

    /// Waits until somebody reads from this lab's slot.
    pub async fn slot_is_taken(&self) {
        let name = &self.name;
        self.sql(&format!(
            "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_replication_slots
               WHERE slot_name = '{name}' AND active) LOOP END LOOP; END $$"
        ))
        .await;
    }

    /// Waits until no session uses this lab's slot: the server notices the end of a reader later
    /// than the reader.
    pub async fn slot_is_free(&self) {
        let name = &self.name;
        self.sql(&format!(
            "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_replication_slots
               WHERE slot_name = '{name}' AND active) LOOP END LOOP; END $$"
        ))
        .await;
    }
}
