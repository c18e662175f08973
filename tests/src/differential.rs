//! Random tables, rows, schema changes and operations from a seed; what the plugin says of each row
//! change is compared with what PostgreSQL itself says in a trigger.
//!
//! The plugin's events are read in psql's way (`format` `json`), which prints the bytes that the
//! relay publishes; other tests hold that equality.

mod expected;
mod literal;
mod world;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use expected::Audit;
use world::World;

/// Statements of one seed.
const STATEMENTS: usize = 150;

/// Pins the settings that the contract names, and notes each row change before anybody can see it.
const AUDIT: &str = "
CREATE TABLE audit (n bigserial PRIMARY KEY, tbl text, op text, ident char, key text[], pk text[],
                    old text, new text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql
    SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres'
    SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
    class pg_class; key text[]; pk text[];
BEGIN
    SELECT * INTO class FROM pg_class WHERE oid = TG_RELID;
    SELECT array_agg(attname::text) INTO key
      FROM pg_index JOIN pg_attribute ON attrelid = TG_RELID AND attnum = ANY (indkey)
     WHERE indrelid = TG_RELID
       AND (class.relreplident = 'd' AND indisprimary OR class.relreplident = 'i' AND indisreplident);
    SELECT array_agg(attname::text ORDER BY array_position(indkey::int2[], attnum)) INTO pk
      FROM pg_index JOIN pg_attribute ON attrelid = TG_RELID AND attnum = ANY (indkey)
     WHERE indrelid = TG_RELID AND indisprimary;
    INSERT INTO audit (tbl, op, ident, key, pk, old, new)
    VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, left(TG_OP, 1), class.relreplident, key, pk,
            CASE WHEN TG_OP <> 'INSERT' THEN row_to_json(OLD)::text END,
            CASE WHEN TG_OP <> 'DELETE' THEN row_to_json(NEW)::text END);
    RETURN NULL;
END $$;";

/// Runs one seed in an empty database and reads the changes through `slot`, which must exist.
/// Says how many changes were compared.
///
/// # Errors
///
/// The first difference, for people; or the server's refusal, which is a fault of the campaign.
pub async fn run(client: &Client, slot: &str, seed: u64) -> Result<usize, String> {
    let mut world = World::new(seed);
    // Refusals are part of the campaign, not of the server's log.
    execute(client, "SET log_min_messages = 'fatal'").await?;
    execute(client, AUDIT).await?;
    for statement in world.tables() {
        execute(client, &statement).await?;
    }
    for _ in 0..STATEMENTS {
        let statement = world.statement();
        // Some statements contradict the data (a duplicate key, a NULL in a key): the server
        // refuses them, and a refused statement is a rolled-back one, which must leave no event.
        if let Err(refusal) = client.batch_execute(&statement).await {
            if refusal.as_db_error().is_none() {
                return Err(format!("seed {seed}: {statement}: {refusal}"));
            }
            execute(client, "ROLLBACK").await?;
        }
        world.refresh(client).await?;
    }
    compare(client, slot, seed).await
}

async fn compare(client: &Client, slot: &str, seed: u64) -> Result<usize, String> {
    // What the session is set to must not matter.
    execute(
        client,
        "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';
         SET extra_float_digits = -10; SET bytea_output = 'escape'",
    )
    .await?;
    let query = format!(
        "SELECT data FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL, 'format', 'json',
                                                       'tables', 'public.t*')"
    );
    let events = column(client, &query).await?;
    let audit = client
        .query(
            "SELECT op, tbl, ident::text, key, pk, old, new FROM audit ORDER BY n",
            &[],
        )
        .await
        .map_err(|error| format!("seed {seed}: read audit: {error}"))?;
    for (number, (event, row)) in events.iter().zip(&audit).enumerate() {
        let audit = Audit::of(row);
        let event: Value = serde_json::from_str(event)
            .map_err(|error| format!("seed {seed}, change {number}: not JSON: {error}: {event}"))?;
        audit
            .check(&event)
            .map_err(|difference| format!("seed {seed}, change {number}: {difference}"))?;
    }
    match events.len() == audit.len() {
        true => Ok(events.len()),
        false => Err(format!(
            "seed {seed}: {} events of {} changes",
            events.len(),
            audit.len()
        )),
    }
}

async fn execute(client: &Client, statements: &str) -> Result<(), String> {
    let refused = |error| format!("{statements}: {error}");
    client.batch_execute(statements).await.map_err(refused)
}

async fn column(client: &Client, query: &str) -> Result<Vec<String>, String> {
    let rows = client
        .simple_query(query)
        .await
        .map_err(|error| format!("{query}: {error}"))?;
    let text = |message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(text).collect())
}
