//! Values of any content, printed: another reader gets the same value back.

use pgevents_proto::{Kind, ReplicaIdentity};
use proptest::{collection::vec, prelude::*};
use serde_json::Value as Json;

use crate::session::{Cell, Stated, events, frame, relation};

/// The column `v` of an inserted row, as another reader of JSON sees it.
fn printed(kind: Kind, cell: Cell) -> Json {
    let relation = relation(ReplicaIdentity::Nothing, &[("v", kind)], &[]);
    let events = events(&frame(&relation, &[Stated::insert(vec![cell])]));
    let event: Json = serde_json::from_str(&events[0]).expect("an event is JSON");
    event["new"]["v"].clone()
}

/// Bytes with runs that need no escape, as text has, around ones that do or are no UTF-8.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        vec(any::<u8>(), 0..8),
        "\\PC{0,80}".prop_map(String::into_bytes),
        "[\\x00-\\x1f\"\\\\]{0,4}".prop_map(String::into_bytes),
    ];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn text_reads_back_with_replacement_characters(bytes in bytes()) {
        let expected = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(printed(Kind::Text, Cell::Bytes(bytes)), Json::from(expected));
    }

    #[test]
    fn bytea_reads_back_as_its_hex(bytes in vec(any::<u8>(), 0..300)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(printed(Kind::Bytea, Cell::Bytes(bytes)), Json::from(format!("\\x{hex}")));
    }

    #[test]
    fn finite_floats_read_back_bit_for_bit(bits in any::<u64>(), half in any::<u32>()) {
        let (double, single) = (f64::from_bits(bits), f32::from_bits(half));
        prop_assume!(double.is_finite() && single.is_finite());
        let read: f64 = printed(Kind::Float8, Cell::Float8(double)).to_string().parse().unwrap();
        prop_assert_eq!(read.to_bits(), bits);
        let read: f32 = printed(Kind::Float4, Cell::Float4(single)).to_string().parse().unwrap();
        prop_assert_eq!(read.to_bits(), half);
    }

    #[test]
    fn a_document_is_the_same_document(value in json()) {
        let text = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(printed(Kind::Json, Cell::Bytes(text)), value);
    }
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            vec((any::<String>(), inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}
