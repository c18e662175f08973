//! What was committed, in commit order, as two slots of their own see it: one of the plugin, one of
//! PostgreSQL's `test_decoding`, which shares no code with it.

use tokio_postgres::Client;

use super::error::ChaosError;
use super::ledger::Ledger;
use super::load::number_in;
use super::violation::Violation;

/// Changes that are read at once.
const PORTION: i32 = 20_000;

const EVENTS: &str = "oracle_events";
const ROWS: &str = "oracle_rows";

/// Makes both slots.
///
/// # Errors
///
/// The server's refusal.
pub async fn create(client: &Client) -> Result<(), ChaosError> {
    let query = "SELECT pg_create_logical_replication_slot($1, $2)";
    client.execute(query, &[&EVENTS, &"pgevents"]).await?;
    client.execute(query, &[&ROWS, &"test_decoding"]).await?;
    Ok(())
}

/// Tells the ledger what both slots hold up to `position` (as text, `X/X`), or all of it.
///
/// # Errors
///
/// The server's refusal, or what the checker objects to.
pub async fn read(
    client: &Client,
    ledger: &Ledger,
    position: Option<&str>,
) -> Result<(), ChaosError> {
    let limit = position.map_or("NULL".to_owned(), |position| format!("'{position}'"));
    loop {
        let query = format!(
            "SELECT data FROM pg_logical_slot_get_changes('{EVENTS}', {limit}, {PORTION},
                                                          'format', 'json')"
        );
        let rows = client.query(&query, &[]).await?;
        for row in &rows {
            let event: &str = row.get(0);
            let number = number_in(event.as_bytes());
            let number = number.ok_or_else(|| Violation::Foreign(event.to_owned()))?;
            ledger.check(|checker| checker.expect(number, event.as_bytes()))?;
        }
        if rows.is_empty() {
            break;
        }
    }
    loop {
        let query = format!(
            "SELECT data FROM pg_logical_slot_get_changes('{ROWS}', {limit}, {PORTION},
                                                          'skip-empty-xacts', '1')"
        );
        let rows = client.query(&query, &[]).await?;
        for row in &rows {
            if let Some(number) = number_of_row(row.get(0)) {
                ledger.check(|checker| checker.committed(number))?;
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// The number in `table public.orders: INSERT: n[bigint]:7 …`; of an update, that of the new row.
fn number_of_row(line: &str) -> Option<u64> {
    let row = line.strip_prefix("table ")?;
    let (_, rest) = row.rsplit_once("n[bigint]:")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number_of_row;

    #[test]
    fn rows_of_test_decoding_have_the_number_of_the_new_row() {
        let insert = "table public.orders: INSERT: n[bigint]:17 note[text]:'order 17'";
        assert_eq!(number_of_row(insert), Some(17));
        let update = "table public.accounts: UPDATE: old-key: n[bigint]:5 id[integer]:3 \
                      new-tuple: n[bigint]:105 id[integer]:3 owner[text]:'owner 105'";
        assert_eq!(number_of_row(update), Some(105));
        assert_eq!(number_of_row("BEGIN 731"), None);
    }
}
