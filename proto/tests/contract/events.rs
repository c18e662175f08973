//! `old`, `new`, `diff` and `id` for every action and replica identity.

use pgevents_proto::{Decoder, Event, EventJson, Kind, OmittedReason, ReplicaIdentity};
use serde_json::Value as Json;

use crate::session::{Cell, Stated, events, frame, relation};

const ID_NAME: [(&str, Kind); 2] = [("id*", Kind::Integer), ("full_name", Kind::Text)];
const ABC: [(&str, Kind); 3] = [("a*", Kind::Integer), ("b*", Kind::Text), ("c", Kind::Text)];

/// Compares the events of `changes` with `expected` by `[old, new, id, diff, action]`.
fn check(
    identity: ReplicaIdentity,
    columns: &[(&str, Kind)],
    key: &[u32],
    change: Stated,
    expected: &str,
) {
    let bytes = frame(&relation(identity, columns, key), &[change]);
    let event: Json = serde_json::from_str(&events(&bytes)[0]).unwrap();
    let keys: Vec<_> = event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["table_name", "old", "new", "id", "diff", "action"]);
    let part = |key: &str| event[key].to_string();
    let shown = ["old", "new", "id", "diff", "action"].map(part).join(" ");
    assert_eq!(shown, expected);
}

fn user(id: i64, name: &str) -> Vec<Cell> {
    vec![Cell::Integer(id), Cell::text(name)]
}

fn abc(a: i64, b: &str, c: &str) -> Vec<Cell> {
    vec![Cell::Integer(a), Cell::text(b), Cell::text(c)]
}

#[test]
fn the_documented_event_is_written_to_the_byte() {
    let relation = relation(ReplicaIdentity::Key, &ID_NAME, &[0]);
    let bytes = frame(&relation, &[Stated::insert(user(1, "Mikael Åkerfeldt"))]);
    assert_eq!(
        events(&bytes),
        [concat!(
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael Åkerfeldt"},"#,
            r#""id":1,"diff":{"id":1,"full_name":"Mikael Åkerfeldt"},"action":"I"}"#
        )]
    );
}

#[test]
fn insert_shows_null_in_new_and_not_in_diff() {
    let row = vec![Cell::Null, Cell::text("x")];
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[],
        Stated::insert(row),
        r#"{} {"id":null,"full_name":"x"} null {"full_name":"x"} "I""#,
    );
}

#[test]
fn update_under_full_rebuilds_the_old_row() {
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::update(
            user(1, "new"),
            Some(vec![Cell::Absent, Cell::text("old")]),
            true,
        ),
        r#"{"id":1,"full_name":"old"} {"id":1,"full_name":"new"} 1 {"full_name":"new"} "U""#,
    );
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::update(user(1, "same"), None, true),
        r#"{"id":1,"full_name":"same"} {"id":1,"full_name":"same"} 1 {} "U""#,
    );
}

#[test]
fn a_value_that_becomes_null_is_in_diff() {
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::update(
            vec![Cell::Integer(1), Cell::Null],
            Some(vec![Cell::Absent, Cell::text("x")]),
            true,
        ),
        r#"{"id":1,"full_name":"x"} {"id":1,"full_name":null} 1 {"full_name":null} "U""#,
    );
}

#[test]
fn update_under_key_takes_an_unchanged_key_from_new() {
    check(
        ReplicaIdentity::Key,
        &ABC,
        &[0, 1],
        Stated::update(abc(1, "k", "v"), None, false),
        r#"{"a":1,"b":"k"} {"a":1,"b":"k","c":"v"} {"a":1,"b":"k"} {"c":"v"} "U""#,
    );
}

#[test]
fn update_under_key_compares_each_key_column() {
    let old = vec![Cell::Integer(1), Cell::text("k"), Cell::Absent];
    check(
        ReplicaIdentity::Key,
        &ABC,
        &[1, 0],
        Stated::update(abc(2, "k", "v"), Some(old), false),
        r#"{"a":1,"b":"k"} {"a":2,"b":"k","c":"v"} {"b":"k","a":2} {"a":2,"c":"v"} "U""#,
    );
}

#[test]
fn update_without_identity_has_no_old_row() {
    let columns = [("a", Kind::Integer), ("b", Kind::Text)];
    check(
        ReplicaIdentity::Nothing,
        &columns,
        &[],
        Stated::update(vec![Cell::Integer(1), Cell::Null], None, false),
        r#"{} {"a":1,"b":null} null {"a":1} "U""#,
    );
}

#[test]
fn an_unchanged_toast_value_that_nothing_holds_is_left_out() {
    check(
        ReplicaIdentity::Key,
        &ID_NAME,
        &[0],
        Stated::update(vec![Cell::Integer(1), Cell::Absent], None, false),
        r#"{"id":1} {"id":1} 1 {} "U""#,
    );
}

#[test]
fn delete_shows_what_the_identity_holds() {
    let key_only = vec![Cell::Integer(1), Cell::Absent];
    check(
        ReplicaIdentity::Key,
        &ID_NAME,
        &[0],
        Stated::delete(Some(key_only), false),
        r#"{"id":1} {} 1 {} "D""#,
    );
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::delete(Some(user(1, "x")), true),
        r#"{"id":1,"full_name":"x"} {} 1 {} "D""#,
    );
    check(
        ReplicaIdentity::Nothing,
        &ID_NAME,
        &[0],
        Stated::delete(None, false),
        r#"{} {} null {} "D""#,
    );
}

#[test]
fn a_part_of_the_primary_key_is_no_id() {
    let old = vec![Cell::Integer(1), Cell::Absent, Cell::Absent];
    check(
        ReplicaIdentity::Key,
        &ABC,
        &[0, 1],
        Stated::delete(Some(old), false),
        r#"{"a":1} {} null {} "D""#,
    );
}

#[test]
fn a_column_named_id_comes_before_the_primary_key() {
    let columns = [("key*", Kind::Integer), ("id", Kind::Text)];
    check(
        ReplicaIdentity::Key,
        &columns,
        &[0],
        Stated::insert(user(1, "mine")),
        r#"{} {"key":1,"id":"mine"} "mine" {"key":1,"id":"mine"} "I""#,
    );
    check(
        ReplicaIdentity::Key,
        &[("key*", Kind::Integer), ("name", Kind::Text)],
        &[0],
        Stated::insert(user(1, "x")),
        r#"{} {"key":1,"name":"x"} 1 {"key":1,"name":"x"} "I""#,
    );
}

#[test]
fn truncate_has_empty_objects() {
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::truncate(),
        r#"{} {} null {} "T""#,
    );
}

#[test]
fn a_changed_value_that_was_kept_back_is_in_diff() {
    let omitted = || Cell::Omitted(OmittedReason::TooLarge, 9);
    let marker = r#"{"pgevents_omitted":"too_large","bytes":9}"#;
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::update(
            vec![Cell::Integer(1), omitted()],
            Some(vec![Cell::Absent, omitted()]),
            true,
        ),
        &format!(
            r#"{{"id":1,"full_name":{marker}}} {{"id":1,"full_name":{marker}}} 1 {{"full_name":{marker}}} "U""#
        ),
    );
    check(
        ReplicaIdentity::Full,
        &ID_NAME,
        &[0],
        Stated::update(vec![Cell::Integer(1), omitted()], None, true),
        &format!(r#"{{"id":1,"full_name":{marker}}} {{"id":1,"full_name":{marker}}} 1 {{}} "U""#),
    );
}

#[test]
fn names_are_escaped_and_never_quoted() {
    let mut relation = relation(ReplicaIdentity::Nothing, &[("a\"b\n", Kind::Integer)], &[]);
    relation.schema = "Odd \"schema".to_owned();
    relation.name = "таблица".to_owned();
    let event = events(&frame(&relation, &[Stated::insert(vec![Cell::Integer(1)])])).remove(0);
    let event: Json = serde_json::from_str(&event).unwrap();
    assert_eq!(event["table_name"], "Odd \"schema.таблица");
    assert_eq!(event["new"]["a\"b\n"].to_string(), "1");
}

/// The marker that goes in the place of the one event of a frame, and the event's size.
fn marker(bytes: &[u8]) -> (String, usize) {
    let mut decoder = Decoder::new();
    let mut events = decoder.frame(bytes);
    while let Some(event) = events.next().unwrap() {
        if let Event::Change(change) = event {
            let (mut json, mut out) = (EventJson::new(), Vec::new());
            let size = json.length(&change);
            json.omit(&change, size, &mut out);
            return (String::from_utf8(out).unwrap(), size);
        }
    }
    panic!("no change")
}

#[test]
fn an_event_that_is_too_large_keeps_its_keys_and_its_id() {
    let relation = relation(ReplicaIdentity::Full, &ID_NAME, &[0]);
    for (change, action) in [
        (Stated::insert(user(7, "Ada")), "I"),
        (
            Stated::update(user(7, "Ada"), Some(user(7, "Eva")), true),
            "U",
        ),
        (Stated::delete(Some(user(7, "Ada")), true), "D"),
    ] {
        let (marker, size) = marker(&frame(&relation, &[change]));
        let expected = format!(
            r#"{{"table_name":"public.users","old":{{}},"new":{{}},"id":7,"diff":{{}},"action":"{action}","pgevents_omitted":"too_large","bytes":{size}}}"#
        );
        assert_eq!(marker, expected);
    }
}

#[test]
fn an_id_that_is_large_itself_is_left_out_of_the_marker() {
    let columns = [("id*", Kind::Text)];
    let relation = relation(ReplicaIdentity::Full, &columns, &[0]);
    let id = |bytes| Stated::insert(vec![Cell::text(&"x".repeat(bytes))]);
    let (kept, _) = marker(&frame(&relation, &[id(1_022)]));
    assert!(kept.contains("\"id\":\"xxx"), "{kept}");
    let (left_out, _) = marker(&frame(&relation, &[id(1_023)]));
    assert!(left_out.contains("\"id\":null"), "{left_out}");
}
