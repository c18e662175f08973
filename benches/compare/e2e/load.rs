//! The rows that are written, and the events that must come of them.

use std::collections::HashMap;

use anyhow::Context;
use pgevents_proto::Lsn;
use tokio_postgres::Client;

/// Routing key of every event.
pub const ROUTING_KEY: &str = "public.orders";

/// What every event begins with; the row's id follows.
pub const EVENT_START: &str = r#"{"table_name":"public.orders","old":{},"new":{"id":"#;

/// Rows of a transaction where the rate is measured.
const ROWS: u64 = 100;

/// How rows come: transactions a second, and rows in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Transactions a second.
    pub transactions: f64,
    /// Rows in a transaction.
    pub rows: u64,
}

/// The event of row `id`, as the relay writes it.
pub fn event(id: u64) -> String {
    let row = format!(
        r#"{{"id":{id},"customer":"customer {id}","amount":{}.50,"open":true}}"#,
        id % 10_000
    );
    format!(
        r#"{{"table_name":"public.orders","old":{{}},"new":{row},"id":{id},"diff":{row},"action":"I"}}"#
    )
}

/// The id in an event; `None` when it is no event of these rows.
pub fn id_of(event: &[u8]) -> Option<u64> {
    let rest = event.strip_prefix(EVENT_START.as_bytes())?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let mut id: u64 = 0;
    for digit in digits {
        id = id.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(id)
}

/// Makes the table.
pub async fn make_table(client: &Client) -> anyhow::Result<()> {
    let sql = "CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, \
         amount numeric(10,2) NOT NULL, open bool NOT NULL); \
         ALTER TABLE orders REPLICA IDENTITY FULL;";
    client.batch_execute(sql).await.context("make the table")
}

/// Writes `count` rows as fast as one session can, and gives the position after them.
pub async fn burst(client: &Client, count: u64) -> anyhow::Result<Lsn> {
    let transactions = count.div_ceil(ROWS);
    let insert = insert("n + 1", &format!("least(n + {ROWS}, {count})"));
    let sql = format!(
        "DO $$ DECLARE n bigint := 0; BEGIN FOR t IN 1..{transactions} LOOP \
         {insert}; COMMIT; n := n + {ROWS}; END LOOP; END $$"
    );
    client.batch_execute(&sql).await.context("write rows")?;
    position(client).await
}

/// Writes `count` rows on a schedule that does not wait for anything but the server itself: a
/// session that falls behind catches up without a pause.
pub async fn steady(client: &Client, offer: Offer, count: u64) -> anyhow::Result<Lsn> {
    let rows = offer.rows;
    let transactions = count / rows;
    let step = (1e6 / offer.transactions).round();
    let insert = insert("n + 1", &format!("n + {rows}"));
    let sql = format!(
        "DO $$ DECLARE n bigint := 0; due timestamptz := clock_timestamp(); pause float8; \
         BEGIN FOR t IN 1..{transactions} LOOP \
         pause := extract(epoch FROM due - clock_timestamp()); \
         IF pause > 0 THEN PERFORM pg_sleep(pause); END IF; \
         {insert}; COMMIT; \
         n := n + {rows}; due := due + interval '{step} microseconds'; END LOOP; END $$"
    );
    client.batch_execute(&sql).await.context("write rows")?;
    position(client).await
}

/// When each row was committed, in microseconds since 1970, by the server's clock.
pub async fn commit_times(client: &Client) -> anyhow::Result<HashMap<u64, i64>> {
    let rows = client
        .query(
            "SELECT id, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::int8 \
             FROM orders",
            &[],
        )
        .await
        .context("read commit times")?;
    let pair = |row: &tokio_postgres::Row| (row.get::<_, i64>(0) as u64, row.get::<_, i64>(1));
    Ok(rows.iter().map(pair).collect())
}

fn insert(from: &str, to: &str) -> String {
    format!(
        "INSERT INTO orders SELECT i, 'customer ' || i, i % 10000 + 0.5, true \
         FROM generate_series({from}, {to}) i"
    )
}

async fn position(client: &Client) -> anyhow::Result<Lsn> {
    let row = client
        .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
        .await?;
    Ok(row.get::<_, &str>(0).parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_its_id() {
        assert_eq!(id_of(event(120_345).as_bytes()), Some(120_345));
        assert_eq!(id_of(b"{}"), None);
        assert_eq!(
            id_of(format!("{EVENT_START}99999999999999999999").as_bytes()),
            None
        );
    }

    #[test]
    fn an_event_is_json() {
        let value: serde_json::Value = serde_json::from_str(&event(7)).expect("JSON");
        assert_eq!(value["diff"]["customer"], "customer 7");
    }
}
