//! Events of a bounded size, for the plugin: no more memory than was asked for beforehand.

use allocation_counter::{AllocationInfo, measure};
use pgevents_proto::{Decoder, Event, EventJson, Kind, ReplicaIdentity};
use proptest::prelude::*;

use crate::{
    round_trip::transaction,
    session::{Cell, Stated, events, frame, relation},
};

/// The events of a frame within a limit, each with what was allocated for it.
fn events_within(frame: &[u8], limit: usize) -> Vec<(String, AllocationInfo)> {
    let (mut decoder, mut json) = (Decoder::new(), EventJson::new());
    let mut events = decoder.frame(frame);
    let mut written = Vec::new();
    while let Some(event) = events.next().unwrap() {
        if let Event::Change(change) = event {
            let mut write = || {
                let mut out = Vec::new();
                let memory = measure(|| json.write_within(&change, limit, &mut out).unwrap());
                (String::from_utf8(out).expect("an event is UTF-8"), memory)
            };
            // The first time the writer takes its scratch memory, a few bytes a column.
            write();
            written.push(write());
        }
    }
    written
}

/// The size of each event of a frame as it is known beforehand.
fn lengths(frame: &[u8]) -> Vec<usize> {
    let (mut decoder, mut json) = (Decoder::new(), EventJson::new());
    let mut events = decoder.frame(frame);
    let mut lengths = Vec::new();
    while let Some(event) = events.next().unwrap() {
        if let Event::Change(change) = event {
            lengths.push(json.length(&change));
        }
    }
    lengths
}

proptest! {
    #[test]
    fn the_size_of_an_event_is_known_before_it_is_written((relation, changes) in transaction()) {
        let frame = frame(&relation, &changes);
        let written: Vec<usize> = events(&frame).iter().map(String::len).collect();
        prop_assert_eq!(lengths(&frame), written);
    }

    #[test]
    fn an_event_that_fits_is_the_same_event_from_one_allocation(
        (relation, changes) in transaction()
    ) {
        let frame = frame(&relation, &changes);
        let within = events_within(&frame, usize::MAX);
        for (event, (within, memory)) in events(&frame).iter().zip(&within) {
            prop_assert_eq!(event, within);
            prop_assert_eq!(memory.count_total, 1, "{}", event);
        }
    }
}

fn texts(sizes: &[usize]) -> Vec<Cell> {
    let text = |&size: &usize| Cell::Bytes(vec![b'x'; size]);
    sizes.iter().map(text).collect()
}

#[test]
fn an_event_above_the_limit_has_markers_in_place_of_its_largest_values() {
    let columns = [("a", Kind::Text), ("b", Kind::Text), ("id", Kind::Text)];
    let relation = relation(ReplicaIdentity::Full, &columns, &[]);
    let marker = |bytes: usize| format!(r#"{{"pgevents_omitted":"too_large","bytes":{bytes}}}"#);
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let row = |a: &str, b: &str| format!(r#"{{"a":{a},"b":{b},"id":"xx"}}"#);

    let insert = frame(&relation, &[Stated::insert(texts(&[90_000, 20_000, 2]))]);
    let [(event, _)] = &events_within(&insert, 100_000)[..] else {
        panic!("one event")
    };
    let new = row(&marker(90_000), &text(20_000));
    assert_eq!(
        *event,
        format!(
            r#"{{"table_name":"public.users","old":{{}},"new":{new},"id":"xx","diff":{new},"action":"I"}}"#
        )
    );

    // What did not change stays out of the difference.
    let old = vec![Cell::Absent, Cell::Bytes(vec![b'x'; 30_000]), Cell::Absent];
    let update = Stated::update(texts(&[90_000, 20_000, 2]), Some(old), true);
    let [(event, _)] = &events_within(&frame(&relation, &[update]), 120_000)[..] else {
        panic!("one event")
    };
    let (old, new) = (
        row(&marker(90_000), &text(30_000)),
        row(&marker(90_000), &text(20_000)),
    );
    let changed = text(20_000);
    assert_eq!(
        *event,
        format!(
            r#"{{"table_name":"public.users","old":{old},"new":{new},"id":"xx","diff":{{"b":{changed}}},"action":"U"}}"#
        )
    );
}

#[test]
fn escapes_count_and_small_values_always_stay() {
    let relation = relation(ReplicaIdentity::Nothing, &[("a", Kind::Text); 8], &[]);
    // Each control character takes six bytes, in `new` and in `diff`.
    let cells = vec![Cell::Bytes(vec![1; 1_000]); 8];
    let frame = frame(&relation, &[Stated::insert(cells)]);
    let plain = events(&frame);
    assert!(plain[0].len() > 96_000);
    let [(event, memory)] = &events_within(&frame, 5_000)[..] else {
        panic!("one event")
    };
    assert_eq!(*event, plain[0], "no value is larger than 1 KiB");
    assert!(memory.bytes_max < 110_000, "{} bytes", memory.bytes_max);
}
