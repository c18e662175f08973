//! Whatever is written is read back, by our decoder and by prost's, and becomes valid JSON.

use std::collections::{HashSet, VecDeque};

use pgevents_proto::{
    Action, Column, Decoder, Event, Kind, OmittedReason, Relation, ReplicaIdentity, v1,
};
use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;
use serde_json::Value as Json;

use crate::session::{Cell, Stated, events, frame};

/// A relation and changes of it.
pub fn transaction() -> impl Strategy<Value = (Relation, Vec<Stated>)> {
    relation().prop_flat_map(|relation| {
        let changes = vec(change(&relation), 0..6);
        (Just(relation), changes)
    })
}

fn relation() -> impl Strategy<Value = Relation> {
    let column = (
        "id|\\PC{1,8}",
        any::<u32>(),
        prop::sample::select(&Kind::ALL),
        any::<bool>(),
    );
    let column = column.prop_map(|(name, type_oid, kind, identity)| Column {
        name,
        type_oid,
        kind,
        identity,
    });
    let identity = prop::sample::select(&[
        ReplicaIdentity::Nothing,
        ReplicaIdentity::Key,
        ReplicaIdentity::Full,
    ]);
    (
        vec(column, 0..20),
        identity,
        1_u32..,
        any::<u32>(),
        "\\PC{1,8}",
        "\\PC{1,8}",
        0_usize..4,
    )
        .prop_map(
            |(columns, replica_identity, id, oid, schema, name, key)| Relation {
                id,
                oid,
                schema,
                name,
                replica_identity,
                primary_key: (0..key.min(columns.len()) as u32).rev().collect(),
                columns: named_once(columns),
            },
        )
}

/// PostgreSQL does not let two columns of a table share a name.
fn named_once(mut columns: Vec<Column>) -> Vec<Column> {
    let mut names = HashSet::new();
    for (at, column) in columns.iter_mut().enumerate() {
        while !names.insert(column.name.clone()) {
            column.name.push_str(&at.to_string());
        }
    }
    columns
}

fn change(relation: &Relation) -> impl Strategy<Value = Stated> + use<> {
    let row = || {
        relation
            .columns
            .iter()
            .map(|column| cell(column.kind))
            .collect::<Vec<_>>()
    };
    let action = prop::sample::select(&[
        Action::Insert,
        Action::Update,
        Action::Delete,
        Action::Truncate,
    ]);
    (
        action,
        row(),
        option::of(row()),
        any::<bool>(),
        0_u64..1 << 40,
    )
        .prop_map(|(action, new, old, old_complete, skipped)| {
            let (new, old) = match action {
                Action::Insert => (Some(new), None),
                Action::Update => (Some(new), old),
                Action::Delete => (None, old),
                Action::Truncate | Action::Message => (None, None),
            };
            Stated {
                skipped,
                action,
                new,
                old,
                old_complete,
            }
        })
}

fn cell(kind: Kind) -> BoxedStrategy<Cell> {
    let value = match kind {
        Kind::Bool => (0_i64..2).prop_map(Cell::Integer).boxed(),
        Kind::Integer | Kind::Date => any::<i64>().prop_map(Cell::Integer).boxed(),
        Kind::Float4 => any::<u32>()
            .prop_map(|b| Cell::Float4(f32::from_bits(b)))
            .boxed(),
        Kind::Float8 => any::<u64>()
            .prop_map(|b| Cell::Float8(f64::from_bits(b)))
            .boxed(),
        Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
            any::<i64>().prop_map(Cell::Micros).boxed()
        }
        Kind::Numeric => "-?[0-9]{1,30}(\\.[0-9]{1,9})?|NaN|\\PC{0,5}"
            .prop_map(|t| Cell::text(&t))
            .boxed(),
        Kind::Text | Kind::Bytea => vec(any::<u8>(), 0..200).prop_map(Cell::Bytes).boxed(),
        Kind::Json => any::<Vec<Option<String>>>()
            .prop_map(|value| Cell::Bytes(serde_json::to_vec_pretty(&value).unwrap()))
            .boxed(),
        Kind::Uuid => any::<[u8; 16]>()
            .prop_map(|id| Cell::Bytes(id.to_vec()))
            .boxed(),
    };
    let reason = prop::sample::select(&[OmittedReason::TooLarge, OmittedReason::Unreadable]);
    let omitted = (reason, any::<u64>()).prop_map(|(reason, size)| Cell::Omitted(reason, size));
    prop_oneof![8 => value, 1 => Just(Cell::Absent), 1 => Just(Cell::Null), 1 => omitted].boxed()
}

proptest! {
    #[test]
    fn our_decoder_reads_what_was_written((relation, changes) in transaction()) {
        let bytes = frame(&relation, &changes);
        let mut decoder = Decoder::new();
        let mut events = decoder.frame(&bytes);
        let (mut stated, mut index) = (changes.iter(), 0);
        while let Some(event) = events.next().unwrap() {
            match event {
                Event::Relation(entry) => prop_assert_eq!(&**entry, &relation),
                Event::Change(change) => {
                    let stated = stated.next().unwrap();
                    prop_assert_eq!(change.index, index + stated.skipped);
                    prop_assert_eq!(change.action, stated.action);
                    prop_assert_eq!(change.old_complete, stated.old_complete);
                    for (cells, row) in [(&stated.new, change.new), (&stated.old, change.old)] {
                        prop_assert_eq!(cells.is_some(), row.is_some());
                        for (cell, value) in cells.iter().flatten().zip(row.iter().flat_map(|r| r.iter())) {
                            prop_assert!(cell.is(value), "{:?} {:?}", cell, value);
                        }
                    }
                    index = change.index + 1;
                }
                Event::Hello(_)
                | Event::Begin(_)
                | Event::Commit(_)
                | Event::Message(_)
                | Event::Unknown => {}
            }
        }
        prop_assert!(stated.next().is_none());
    }

    #[test]
    fn prost_reads_what_was_written((relation, changes) in transaction()) {
        let message = v1::Frame::decode(&*frame(&relation, &changes)).unwrap();
        prop_assert_eq!(&message.relations[0].name, &relation.name);
        prop_assert_eq!(&message.relations[0].primary_key, &relation.primary_key);
        prop_assert_eq!(message.changes.len(), changes.len());
        for (change, stated) in message.changes.iter().zip(&changes) {
            prop_assert_eq!(change.skipped, stated.skipped);
            prop_assert_eq!(change.action, stated.action as i32);
            prop_assert_eq!(change.old_complete, stated.old_complete);
            for (row, cells) in [(&change.new, &stated.new), (&change.old, &stated.old)] {
                prop_assert_eq!(row.is_some(), cells.is_some());
                if let (Some(row), Some(cells)) = (row, cells) {
                    let read = cells_of(&relation, row);
                    // Text, since NaN is not equal to itself.
                    prop_assert_eq!(format!("{read:?}"), format!("{cells:?}"));
                }
            }
        }
    }

    #[test]
    fn every_event_is_json_of_six_keys((relation, changes) in transaction()) {
        for event in events(&frame(&relation, &changes)) {
            prop_assert!(!event.contains('\n'));
            let json: Json = serde_json::from_str(&event).unwrap();
            let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
            prop_assert_eq!(keys, ["table_name", "old", "new", "id", "diff", "action"]);
            for part in ["old", "new", "diff"] {
                prop_assert!(json[part].is_object());
            }
            for (name, value) in json["diff"].as_object().unwrap() {
                prop_assert_eq!(Some(value), json["new"].get(name));
            }
        }
    }
}

/// Puts a row together from prost's lists, one for each field.
fn cells_of(relation: &Relation, row: &v1::Row) -> Vec<Cell> {
    let bit = |bits: &Option<Vec<u8>>, at: usize, otherwise| {
        bits.as_ref()
            .map_or(otherwise, |bits| bits[at / 8] >> (at % 8) & 1 != 0)
    };
    let mut integers = VecDeque::from(row.integers.clone());
    let mut micros = VecDeque::from(row.micros.clone());
    let mut float4 = VecDeque::from(row.float4.clone());
    let mut float8 = VecDeque::from(row.float8.clone());
    let mut bytes = VecDeque::from(row.bytes.clone());
    let cells = relation.columns.iter().enumerate().map(|(at, column)| {
        let omitted = row
            .omitted
            .iter()
            .find(|omitted| omitted.column as usize == at);
        match (
            bit(&row.columns, at, true),
            bit(&row.nulls, at, false),
            omitted,
        ) {
            (false, ..) => Cell::Absent,
            (_, true, _) => Cell::Null,
            (.., Some(omitted)) => {
                let reason = OmittedReason::from_wire(omitted.reason as u64).unwrap();
                Cell::Omitted(reason, omitted.size)
            }
            (true, false, None) => match column.kind {
                Kind::Bool | Kind::Integer | Kind::Date => {
                    Cell::Integer(integers.pop_front().unwrap())
                }
                Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
                    Cell::Micros(micros.pop_front().unwrap())
                }
                Kind::Float4 => Cell::Float4(float4.pop_front().unwrap()),
                Kind::Float8 => Cell::Float8(float8.pop_front().unwrap()),
                Kind::Numeric | Kind::Text | Kind::Json | Kind::Bytea | Kind::Uuid => {
                    Cell::Bytes(bytes.pop_front().unwrap())
                }
            },
        }
    });
    let cells = cells.collect();
    assert!(
        integers.is_empty() && micros.is_empty() && bytes.is_empty(),
        "values are left"
    );
    assert!(float4.is_empty() && float8.is_empty(), "values are left");
    cells
}
