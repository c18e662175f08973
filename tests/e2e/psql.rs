//! What a slot holds, read through SQL: the plugin alone, without a relay.

use pgevents_tests::lab::Lab;

/// Takes the events out of the lab's slot as psql shows them, with further plugin options as SQL
/// literals: `'tables', 'public.*'`.
pub async fn events(lab: &Lab, options: &str) -> Vec<String> {
    read(lab, "get", options).await
}

/// The same, and leaves them in the slot.
pub async fn peek(lab: &Lab, options: &str) -> Vec<String> {
    read(lab, "peek", options).await
}

async fn read(lab: &Lab, how: &str, options: &str) -> Vec<String> {
    let comma = if options.is_empty() { "" } else { ", " };
    let query = format!(
        "SELECT data FROM pg_logical_slot_{how}_changes('{}', NULL, NULL, 'format', 'json'{comma}{options})",
        lab.name()
    );
    let rows = lab.rows(&query).await;
    rows.iter().map(|row| row.get(0)).collect()
}
