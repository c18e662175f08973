//! What both sides agree on: the version of the frames, and the name of an event.

use pgevents_proto::{DecodeError, Decoder, Event, Lsn};
use pgevents_tests::lab::Lab;

#[tokio::test]
async fn the_plugin_answers_in_the_highest_version_that_both_know() {
    let mut lab = Lab::start().await;
    lab.allow("this plugin speaks protocol versions 1 to 2");
    lab.allow("option \"protocol-version\"");
    lab.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await;
    for (asked, spoken) in [(None, 1), (Some("1"), 1), (Some("2"), 2), (Some("4000"), 2)] {
        let option = asked.map(|version| format!(", 'protocol-version', '{version}'"));
        let frames = frames(&lab, lab.name(), &option.unwrap_or_default()).await;
        let hello = Decoder::new().frame(&frames[0].1).next().map(drop);
        match spoken {
            2 => assert_eq!(hello, Ok(()), "{asked:?}"),
            other => assert_eq!(hello, Err(DecodeError::Version(other)), "{asked:?}"),
        }
    }
    let refused = |value: &str| {
        format!(
            "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('{}', NULL, NULL, \
             'protocol-version', '{value}')",
            lab.name()
        )
    };
    let too_old = lab.refused(&refused("0")).await;
    assert!(
        too_old.contains("speaks protocol versions 1 to 2, the reader knows 0 and older"),
        "{too_old}"
    );
    let no_number = lab.refused(&refused("new")).await;
    assert!(no_number.contains("found \"new\""), "{no_number}");
    lab.finish().await;
}

/// What another source over the same WAL would name an event by: pgoutput sends the same position
/// with its begin.
#[tokio::test]
async fn events_are_named_by_the_position_that_pgoutput_sends_with_begin() {
    let lab = Lab::start().await;
    let mut queue = lab.queue().await;
    let other = "beside_events_named_by_position";
    lab.sql(
        "CREATE TABLE t (id int PRIMARY KEY);
         ALTER TABLE t REPLICA IDENTITY FULL;
         CREATE PUBLICATION everything FOR ALL TABLES",
    )
    .await;
    lab.sql(&format!(
        "SELECT pg_create_logical_replication_slot('{other}', 'pgoutput')"
    ))
    .await;
    lab.sql("INSERT INTO t VALUES (1), (2)").await;
    lab.sql("DELETE FROM t WHERE id = 1").await;
    let begins = frames(
        &lab,
        other,
        ", 'proto_version', '1', 'publication_names', 'everything'",
    )
    .await
    .into_iter()
    .filter_map(|(_, message)| {
        // Source: PostgreSQL docs, "Logical Replication Message Formats", Begin.
        let (tag, rest) = message.split_first()?;
        let lsn = rest.first_chunk().filter(|_| *tag == b'B')?;
        Some(Lsn(u64::from_be_bytes(*lsn)))
    });
    let begins: Vec<_> = begins.collect();
    let mut decoder = Decoder::new();
    let mut ours = Vec::new();
    for (_, frame) in frames(&lab, lab.name(), ", 'protocol-version', '2'").await {
        let mut events = decoder.frame(&frame);
        while let Some(event) = events.next().expect("decode") {
            if let Event::Begin(begin) = event {
                assert!(begin.commit_lsn < begin.end_lsn, "{begin:?}");
                ours.push(begin.commit_lsn);
            }
        }
    }
    assert_eq!(ours, begins);
    lab.producer().start();
    let names = queue.take(3).await;
    let of_names = names.iter().map(|event| {
        let lsn = event.message_id.split('-').nth(1).expect("the position");
        Lsn(u64::from_str_radix(lsn, 16).expect("in hexadecimal"))
    });
    assert_eq!(
        of_names.collect::<Vec<_>>(),
        [begins[0], begins[0], begins[1]]
    );
    lab.sql(&format!("SELECT pg_drop_replication_slot('{other}')"))
        .await;
    lab.finish().await;
}

/// What a slot gives, each with its position.
async fn frames(lab: &Lab, slot: &str, options: &str) -> Vec<(String, Vec<u8>)> {
    let query = format!(
        "SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL{options})"
    );
    let rows = lab.rows(&query).await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
