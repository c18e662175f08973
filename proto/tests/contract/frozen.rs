//! The protocol as it is frozen: recorded frames are read as they were when they were recorded, and
//! the encoder still writes them. So a relay of any release reads the plugin of a later one that
//! speaks its version, and the other way round.
//!
//! A recording is never changed: another version of the protocol gets one of its own.

use std::{fs, path::PathBuf};

use pgevents_proto::{
    Action, Begin, Commit, DecodeError, Decoder, Event, EventJson, EventKey, FrameEncoder, Hello,
    Kind, Lsn, OmittedReason, Relation, ReplicaIdentity,
};

use crate::session::{Cell, Stated, relation};

#[test]
fn recorded_frames_of_version_2_are_read_as_ever() {
    let mut text = String::new();
    let mut decoder = Decoder::new();
    for frame in recorded("2.frames") {
        text += &read(&mut decoder, &frame);
    }
    assert_eq!(text, recorded_text("2.events"));
}

#[test]
fn the_encoder_writes_the_recorded_frames_of_each_version() {
    for version in [1, 2] {
        let written = session(version);
        let name = format!("{version}.frames");
        if !file(&name).exists() {
            record(&name, &written);
            panic!("{name} was not there; it is now, so commit it and never change it");
        }
        assert_eq!(written, recorded(&name));
    }
}

#[test]
fn frames_of_version_1_are_refused_by_name() {
    let first = &recorded("1.frames")[0];
    let refused = Decoder::new().frame(first).next().unwrap_err();
    assert_eq!(refused, DecodeError::Version(1));
}

/// Two transactions, a message between them, and everything that a frame can hold.
fn session(version: u32) -> Vec<Vec<u8>> {
    let mut encoder = FrameEncoder::new();
    let mut frames = Vec::new();
    let mut send = |encoder: &mut FrameEncoder| {
        frames.push(encoder.bytes().to_vec());
        encoder.clear();
    };
    let (every, keyed) = (every_kind(), keyed());
    encoder.hello(&hello(version)).unwrap();
    encoder.relation(&every, &[]).unwrap();
    encoder.begin(&begin(0x100), "").unwrap();
    row_of_every_kind().write(every.id, &mut encoder);
    changes_of_every_kind(&mut encoder, every.id);
    send(&mut encoder);
    encoder.relation(&keyed, &[every.id]).unwrap();
    for change in keyed_changes() {
        change.write(keyed.id, &mut encoder);
    }
    let inside = b"{\"order\":1}";
    encoder
        .message(Some(1), "pgevents:paid", inside, Lsn(0x140))
        .unwrap();
    encoder.commit(&commit(0x100)).unwrap();
    send(&mut encoder);
    encoder
        .message(None, "pgevents:outside", b"\xFF\x00", Lsn(0x180))
        .unwrap();
    send(&mut encoder);
    encoder.begin(&begin(0x200), "elsewhere").unwrap();
    Stated::truncate().write(keyed.id, &mut encoder);
    encoder.commit(&commit(0x200)).unwrap();
    send(&mut encoder);
    frames
}

fn hello(version: u32) -> Hello {
    Hello {
        protocol_version: version,
        plugin_version: "0.2.0".to_owned(),
        server_version_num: 150_020,
        database_encoding: "UTF8".to_owned(),
        options: vec!["tables=public.*".to_owned(), "skip-noop=true".to_owned()],
    }
}

fn begin(at: u64) -> Begin {
    Begin {
        commit_lsn: Lsn(0x16_0000_0000 + at),
        end_lsn: Lsn(0x16_0000_0000 + at + 0x30),
        commit_time: 848_780_130_120_000 + at as i64,
        xid: 700 + at as u32,
    }
}

fn commit(at: u64) -> Commit {
    Commit {
        end_lsn: begin(at).end_lsn,
        filtered_rows: at,
        noop_rows: 2 * at,
    }
}

fn every_kind() -> Relation {
    let names = [
        "a bool",
        "id",
        "real",
        "double",
        "numeric",
        "text",
        "json",
        "bytea",
        "uuid",
        "date",
        "time",
        "timestamp",
        "timestamptz",
    ];
    let columns: Vec<_> = names.into_iter().zip(Kind::ALL).collect();
    relation(ReplicaIdentity::Full, &columns, &[1])
}

fn keyed() -> Relation {
    Relation {
        id: 2,
        oid: 16_500,
        name: "Åkerfeldt \"quoted\"".to_owned(),
        ..relation(
            ReplicaIdentity::Key,
            &[
                ("tenant*", Kind::Integer),
                ("code*", Kind::Text),
                ("note", Kind::Text),
            ],
            &[1, 0],
        )
    }
}

fn row(id: i64, text: &str) -> Vec<Cell> {
    vec![
        Cell::Integer(1),
        Cell::Integer(id),
        Cell::Float4(1.5),
        Cell::Float8(-0.1),
        Cell::text("1234.50"),
        Cell::text(text),
        Cell::text("{\"a\": [1, 2]}"),
        Cell::Bytes(vec![0, 1, 0xFF]),
        Cell::Bytes(vec![0x5A; 16]),
        Cell::Integer(-9_000),
        Cell::Micros(86_399_999_999),
        Cell::Micros(i64::MAX),
        Cell::Micros(848_780_130_123_456),
    ]
}

fn row_of_every_kind() -> Stated {
    Stated::insert(row(i64::MIN, "Mikael Åkerfeldt\n"))
}

fn changes_of_every_kind(encoder: &mut FrameEncoder, relation: u32) {
    let mut changed = vec![Cell::Absent; 13];
    changed[5] = Cell::text("before");
    Stated::update(row(2, "after"), Some(changed), true).write(relation, encoder);
    let mut sparse = row(3, "x");
    sparse[0] = Cell::Null;
    sparse[5] = Cell::Omitted(OmittedReason::TooLarge, 70_000_000);
    sparse[6] = Cell::Omitted(OmittedReason::Unreadable, 0);
    sparse[12] = Cell::Absent;
    let skipping = Stated {
        skipped: 300,
        ..Stated::insert(sparse)
    };
    skipping.write(relation, encoder);
    Stated::delete(Some(row(2, "after")), true).write(relation, encoder);
}

fn keyed_changes() -> [Stated; 3] {
    let row = |tenant, note: &str| vec![Cell::Integer(tenant), Cell::text("c"), Cell::text(note)];
    let key = vec![Cell::Integer(1), Cell::text("c"), Cell::Absent];
    [
        Stated::update(row(1, "same key"), None, false),
        Stated::update(row(2, "other key"), Some(key.clone()), false),
        Stated::delete(Some(key), false),
    ]
}

/// The events of a frame, a line each.
fn read(decoder: &mut Decoder, frame: &[u8]) -> String {
    let (mut json, mut text) = (EventJson::new(), String::new());
    let mut events = decoder.frame(frame);
    while let Some(event) = events.next().unwrap() {
        text += &match event {
            Event::Change(change) if change.action != Action::Message => {
                let mut body = Vec::new();
                json.write(&change, &mut body);
                format!("{} {}\n", change.index, String::from_utf8(body).unwrap())
            }
            Event::Relation(relation) => format!("{:?}\n", **relation),
            Event::Begin(begin) => {
                let key = EventKey {
                    system_id: 7,
                    commit_lsn: begin.commit_lsn,
                    commit_time: begin.commit_time,
                    index: 0,
                };
                format!("{begin:?} {key}\n")
            }
            event => format!("{event:?}\n"),
        };
    }
    text
}

/// Frames of a file: the length of each in four bytes, then its bytes.
fn recorded(name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(file(name)).expect("read a recording");
    let (mut frames, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (frame, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}

fn record(name: &str, frames: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend((frame.len() as u32).to_be_bytes());
        bytes.extend(frame);
    }
    fs::write(file(name), bytes).expect("write a recording");
}

fn recorded_text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("read a recording")
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/frozen")
        .join(name)
}
