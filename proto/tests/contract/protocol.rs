//! What a session may say, and the error for everything else.

use pgevents_proto::{
    Begin, Commit, DecodeError, Decoder, Event, FrameEncoder, Kind, Lsn, Relation, ReplicaIdentity,
    v1,
};
use prost::Message as _;

use crate::session::{Cell, END_LSN, Stated, frame, hello, relation};

fn users() -> Relation {
    let columns = [
        ("id*", Kind::Integer),
        ("name", Kind::Text),
        ("key", Kind::Uuid),
    ];
    relation(ReplicaIdentity::Key, &columns, &[0])
}

fn row() -> Vec<Cell> {
    vec![Cell::Integer(1), Cell::text("x"), Cell::Bytes(vec![7; 16])]
}

/// Events of a frame, as text.
fn read(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut events = decoder.frame(bytes);
    let mut seen = Vec::new();
    while let Some(event) = events.next()? {
        seen.push(match event {
            Event::Hello(hello) => format!("hello {}", hello.plugin_version),
            Event::Relation(relation) => format!("relation {}", relation.routing_key()),
            Event::Begin(begin) => format!("begin {}", begin.end_lsn),
            Event::Change(change) => format!("{:?} {}", change.action, change.index),
            Event::Message(message) => format!("message {:?} {}", message.index, message.prefix),
            Event::Commit(commit) => format!("commit {}", commit.end_lsn),
            Event::Unknown => continue,
        });
    }
    Ok(seen)
}

/// What our decoder says of a frame that was a good one before `damage`.
fn damaged(damage: impl FnOnce(&mut v1::Frame)) -> Result<Vec<String>, DecodeError> {
    let bytes = frame(&users(), &[Stated::insert(row())]);
    let mut message = v1::Frame::decode(&*bytes).unwrap();
    damage(&mut message);
    read(&mut Decoder::new(), &message.encode_to_vec())
}

fn damaged_row(damage: impl FnOnce(&mut v1::Row)) -> DecodeError {
    damaged(|frame| damage(frame.changes[0].new.as_mut().unwrap())).unwrap_err()
}

fn damaged_relation(damage: impl FnOnce(&mut v1::Relation)) -> DecodeError {
    damaged(|frame| damage(&mut frame.relations[0])).unwrap_err()
}

#[test]
fn events_come_in_the_order_of_the_wire() {
    let insert = || Stated::insert(row());
    let skipping = Stated {
        skipped: 3,
        ..insert()
    };
    let mut encoder = FrameEncoder::new();
    let mut decoder = Decoder::new();
    let first = frame(&users(), &[insert(), skipping]);
    assert_eq!(
        read(&mut decoder, &first).unwrap(),
        [
            "hello 0.1.0",
            "relation public.users",
            "begin 16/B374D8",
            "Insert 0",
            "Insert 4",
            "commit 16/B374D8"
        ]
    );
    encoder
        .begin(
            &Begin {
                commit_lsn: Lsn(8),
                end_lsn: Lsn(9),
                commit_time: 0,
                xid: 1,
            },
            "upstream",
        )
        .unwrap();
    encoder
        .message(Some(2), "pgevents:a", b"{}", Lsn(3))
        .unwrap();
    assert_eq!(
        read(&mut decoder, encoder.bytes()).unwrap(),
        ["begin 0/9", "message Some(2) pgevents:a"]
    );
    assert_eq!(decoder.frame(&[]).origin(), "upstream");
    encoder.clear();
    encoder.message(None, "pgevents:b", b"{}", Lsn(4)).unwrap();
    assert_eq!(
        read(&mut decoder, encoder.bytes()).unwrap(),
        ["message None pgevents:b"]
    );
    encoder.clear();
    Stated::insert(row()).write(1, &mut encoder);
    encoder
        .commit(&Commit {
            end_lsn: Lsn(9),
            filtered_rows: 2,
            noop_rows: 0,
        })
        .unwrap();
    assert_eq!(
        read(&mut decoder, encoder.bytes()).unwrap(),
        ["Insert 3", "commit 0/9"]
    );
}

#[test]
fn an_unknown_version_is_named_with_the_known_one() {
    let error = damaged(|frame| frame.hello.as_mut().unwrap().protocol_version = 3).unwrap_err();
    assert_eq!(error, DecodeError::Version(3));
    assert_eq!(
        error.to_string(),
        "protocol version 3 is not known, this reader knows 2"
    );
}

#[test]
fn a_session_starts_with_its_only_hello() {
    assert_eq!(
        read(&mut Decoder::new(), &[]).unwrap_err(),
        DecodeError::HelloMissing
    );
    assert_eq!(
        damaged(|frame| frame.hello = None).unwrap_err(),
        DecodeError::HelloMissing
    );
    let mut decoder = Decoder::new();
    let bytes = frame(&users(), &[]);
    read(&mut decoder, &bytes).unwrap();
    assert_eq!(decoder.hello(), Some(&hello()));
    assert_eq!(
        read(&mut decoder, &bytes).unwrap_err(),
        DecodeError::HelloRepeated
    );
}

#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = frame(&users(), &[]);
    // Fields 100 to 103, one of each wire type.
    bytes.extend([0xA0, 0x06, 0x96, 0x01]);
    bytes.extend([0xA9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
    bytes.extend([0xB2, 0x06, 2, 0xFF, 0xFF]);
    bytes.extend([0xBD, 0x06, 1, 2, 3, 4]);
    assert_eq!(read(&mut Decoder::new(), &bytes).unwrap().len(), 4);
}

#[test]
fn transactions_neither_nest_nor_leak() {
    assert_eq!(
        damaged(|frame| frame.begin = None).unwrap_err(),
        DecodeError::NotInTransaction("change")
    );
    assert_eq!(
        damaged(|frame| (frame.begin, frame.changes) = (None, vec![])).unwrap_err(),
        DecodeError::NotInTransaction("commit")
    );
    assert_eq!(
        damaged(|frame| frame.commit.as_mut().unwrap().end_lsn = 1).unwrap_err(),
        DecodeError::CommitMismatch {
            begin: END_LSN,
            commit: Lsn(1)
        }
    );
    let mut encoder = FrameEncoder::new();
    encoder.hello(&hello()).unwrap();
    encoder.begin(&Begin::default(), "").unwrap();
    encoder.begin(&Begin::default(), "").unwrap();
    assert_eq!(
        read(&mut Decoder::new(), encoder.bytes()).unwrap_err(),
        DecodeError::BeginNested(Lsn(0))
    );
}

#[test]
fn the_index_of_a_change_does_not_wrap() {
    let error = damaged(|frame| frame.changes[0].skipped = u64::MAX).unwrap_err();
    assert_eq!(error, DecodeError::IndexOverflow);
}

#[test]
fn dictionary_ids_count_up_and_a_new_definition_replaces_the_old() {
    assert_eq!(damaged_relation(|r| r.id = 0), DecodeError::RelationId(0));
    let mut decoder = Decoder::new();
    read(&mut decoder, &frame(&users(), &[])).unwrap();
    let mut encoder = FrameEncoder::new();
    encoder.relation(&users(), &[]).unwrap();
    assert_eq!(
        read(&mut decoder, encoder.bytes()).unwrap_err(),
        DecodeError::RelationId(1)
    );
    encoder.clear();
    encoder
        .relation(&Relation { id: 2, ..users() }, &[])
        .unwrap();
    encoder.begin(&Begin::default(), "").unwrap();
    Stated::insert(row()).write(2, &mut encoder);
    assert_eq!(read(&mut decoder, encoder.bytes()).unwrap().len(), 3);
    encoder.clear();
    Stated::insert(row()).write(1, &mut encoder);
    assert_eq!(
        read(&mut decoder, encoder.bytes()).unwrap_err(),
        DecodeError::RelationUnknown(1)
    );
}

#[test]
fn a_forgotten_relation_is_not_used_again() {
    let mut decoder = Decoder::new();
    let mut encoder = FrameEncoder::new();
    encoder.hello(&hello()).unwrap();
    for (id, forgotten) in [(1, [].as_slice()), (2, &[]), (3, &[1, 7])] {
        let oid = 100 + id;
        let relation = Relation { id, oid, ..users() };
        encoder.relation(&relation, forgotten).unwrap();
    }
    read(&mut decoder, encoder.bytes()).unwrap();
    for (id, known) in [(3, true), (2, true), (1, false)] {
        encoder.clear();
        encoder.begin(&Begin::default(), "").unwrap();
        Stated::insert(row()).write(id, &mut encoder);
        encoder.commit(&Commit::default()).unwrap();
        let expected = match known {
            true => Ok(()),
            false => Err(DecodeError::RelationUnknown(id)),
        };
        assert_eq!(read(&mut decoder, encoder.bytes()).map(drop), expected);
    }
}

#[test]
fn impossible_relations_are_refused() {
    let reason = |error| match error {
        DecodeError::Relation { id: 1, reason } => reason,
        other => panic!("{other:?}"),
    };
    let key = "primary key without its columns";
    assert_eq!(reason(damaged_relation(|r| r.primary_key = vec![3])), key);
    assert_eq!(
        reason(damaged_relation(|r| r.primary_key = vec![1, 1])),
        key
    );
    assert_eq!(
        reason(damaged_relation(|r| r.schema.clear())),
        "a name is empty"
    );
    assert_eq!(
        reason(damaged_relation(|r| r.columns[1].name.clear())),
        "a name is empty"
    );
    assert_eq!(
        reason(damaged_relation(
            |r| r.columns = vec![r.columns[0].clone(); 1665]
        )),
        "too many columns"
    );
    let undefined = |what, number| DecodeError::Enum { what, number };
    assert_eq!(
        damaged_relation(|r| r.replica_identity = 0),
        undefined("replica identity", 0)
    );
    assert_eq!(
        damaged_relation(|r| r.columns[0].kind = 14),
        undefined("kind", 14)
    );
}

#[test]
fn a_row_has_one_value_for_each_column_that_carries_one() {
    let bitmap = DecodeError::Bitmap {
        relation: 1,
        columns: 3,
    };
    assert_eq!(damaged_row(|row| row.columns = Some(vec![])), bitmap);
    assert_eq!(damaged_row(|row| row.columns = Some(vec![1, 0])), bitmap);
    assert_eq!(damaged_row(|row| row.nulls = Some(vec![0b1000])), bitmap);
    assert_eq!(
        damaged_row(|row| drop(row.bytes.pop())),
        DecodeError::ValuesMissing(1)
    );
    assert_eq!(
        damaged_row(|row| row.bytes.push(vec![])),
        DecodeError::ValuesLeft(1)
    );
    assert_eq!(
        damaged_row(|row| row.columns = Some(vec![0b110])),
        DecodeError::ValueKind {
            relation: 1,
            column: 1,
            kind: Kind::Text,
            field: 4
        }
    );
    assert_eq!(
        damaged_row(|row| row.bytes[1].truncate(15)),
        DecodeError::UuidLength {
            relation: 1,
            column: 2,
            len: 15
        }
    );
}

#[test]
fn a_mark_stands_for_a_value_that_is_carried() {
    let mark = |column, reason| v1::Omitted {
        column,
        reason,
        size: 5,
    };
    let refused = |column| DecodeError::Omitted {
        relation: 1,
        column,
    };
    assert_eq!(
        damaged_row(|row| row.omitted = vec![mark(3, 1)]),
        refused(3)
    );
    assert_eq!(
        damaged_row(|row| row.omitted = vec![mark(1, 1), mark(1, 1)]),
        refused(1)
    );
    assert_eq!(
        damaged_row(|row| (row.nulls, row.omitted) = (Some(vec![0b010]), vec![mark(1, 1)])),
        refused(1)
    );
    assert_eq!(
        damaged_row(|row| row.omitted = vec![mark(1, 3)]),
        DecodeError::Enum {
            what: "reason",
            number: 3
        }
    );
}

#[test]
fn a_change_has_the_rows_of_its_action() {
    let shape = |action: v1::Action| {
        damaged(|frame| frame.changes[0].action = action.into())
            .unwrap_err()
            .to_string()
    };
    for (action, name) in [
        (v1::Action::Delete, "Delete"),
        (v1::Action::Truncate, "Truncate"),
        (v1::Action::Message, "Message"),
    ] {
        assert_eq!(
            shape(action),
            format!("read change: rows do not fit action {name}")
        );
    }
    assert!(matches!(
        damaged(|frame| frame.changes[0].new = None),
        Err(DecodeError::Shape(pgevents_proto::Action::Insert))
    ));
    assert_eq!(
        damaged(|frame| frame.changes[0].relation = 2).unwrap_err(),
        DecodeError::RelationUnknown(2)
    );
}

#[test]
fn names_are_utf8() {
    let mut bytes = frame(&users(), &[]);
    let at = bytes
        .windows(5)
        .position(|window| window == b"users")
        .unwrap();
    bytes[at] = 0xFF;
    assert_eq!(
        read(&mut Decoder::new(), &bytes).unwrap_err(),
        DecodeError::Utf8("table name")
    );
}

#[test]
fn a_frame_gives_nothing_after_an_error() {
    let mut bytes = frame(&users(), &[Stated::insert(row())]);
    let good = bytes.len();
    bytes.extend_from_within(..);
    let mut decoder = Decoder::new();
    let mut events = decoder.frame(&bytes);
    let error = loop {
        match events.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the second hello went unnoticed, at {good}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, DecodeError::HelloRepeated);
    assert!(matches!(events.next(), Ok(None)));
}
