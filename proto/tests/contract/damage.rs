//! Bytes of any origin give events or an error: no panic, and no memory beyond a small multiple of
//! what was sent.

use pgevents_proto::{Decoder, Event, EventJson, Kind, ReplicaIdentity, v1};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

use crate::{
    round_trip::transaction,
    session::{frame, hello, relation},
};

/// Bytes of memory for each byte of a frame: the worst is a dictionary entry of names of one byte.
const MEMORY_FACTOR: u64 = 48;

/// Memory for a frame of any size, in bytes: the first few elements of each list.
const MEMORY_BASE: u64 = 8 * 1024;

/// Reads a frame to its end or its first error and returns how often and how much was allocated.
fn read(bytes: &[u8]) {
    let (mut json, mut out) = (EventJson::new(), Vec::new());
    let info = allocation_counter::measure(|| {
        let mut decoder = Decoder::new();
        let mut events = decoder.frame(bytes);
        while let Ok(Some(event)) = events.next() {
            match event {
                Event::Change(change) => allocation_counter::opt_out(|| {
                    out.clear();
                    json.write(&change, &mut out);
                    assert!(std::str::from_utf8(&out).is_ok());
                }),
                Event::Hello(_)
                | Event::Relation(_)
                | Event::Begin(_)
                | Event::Message(_)
                | Event::Commit(_)
                | Event::Unknown => {}
            }
        }
    });
    let allowed = MEMORY_BASE + MEMORY_FACTOR * bytes.len() as u64;
    assert!(
        info.bytes_max <= allowed,
        "{} bytes for a frame of {}",
        info.bytes_max,
        bytes.len()
    );
}

/// One wound of a frame.
#[derive(Clone, Debug)]
enum Wound {
    Set(Index, u8),
    Flip(Index, u8),
    Remove(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Cut(Index),
}

impl Wound {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (at(), 0_u8..8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            at().prop_map(Self::Remove),
            (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (at(), at()).prop_map(|(from, to)| Self::Repeat(from, to)),
            at().prop_map(Self::Cut),
        ]
    }

    fn inflict(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(len)] = *byte,
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
            Self::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..600)) {
        read(&bytes);
        // Behind a good start, more of the decoder is reached.
        let mut session = frame(&relation(ReplicaIdentity::Full, &[("a", Kind::Text)], &[]), &[]);
        session.extend(bytes);
        read(&session);
    }

    #[test]
    fn damaged_frames_do_no_harm(
        (relation, changes) in transaction(),
        wounds in vec(Wound::any(), 1..6),
    ) {
        let mut bytes = frame(&relation, &changes);
        for wound in wounds {
            wound.inflict(&mut bytes);
            read(&bytes);
        }
    }
}

/// A frame of one hello and `relations`.
fn schema(relations: Vec<v1::Relation>) -> Vec<u8> {
    let hello = v1::Hello {
        protocol_version: hello().protocol_version,
        ..Default::default()
    };
    v1::Frame {
        hello: Some(hello),
        relations,
        ..Default::default()
    }
    .encode_to_vec()
}

fn smallest_relation(id: u32, columns: Vec<v1::Column>) -> v1::Relation {
    let name = || "n".to_owned();
    v1::Relation {
        id,
        oid: id,
        schema: name(),
        name: name(),
        replica_identity: 1,
        columns,
        ..Default::default()
    }
}

#[test]
fn many_small_definitions_take_memory_in_proportion() {
    read(&schema(
        (1..10_000)
            .map(|id| smallest_relation(id, vec![]))
            .collect(),
    ));
    // A control character takes six bytes in JSON.
    let column = v1::Column {
        name: "\u{1}".to_owned(),
        kind: 1,
        ..Default::default()
    };
    read(&schema(
        (1..20)
            .map(|id| smallest_relation(id, vec![column.clone(); 1664]))
            .collect(),
    ));
}

#[test]
fn a_redefined_table_takes_the_memory_of_one() {
    memory_stays(|relation| v1::Relation { oid: 1, ..relation });
}

#[test]
fn forgotten_tables_take_no_memory() {
    memory_stays(|relation| v1::Relation {
        oid: relation.id,
        forgotten_ids: vec![relation.id - 1],
        ..relation
    });
}

/// Reads a thousand relations as they are made out of a plain one.
fn memory_stays(as_told: impl Fn(v1::Relation) -> v1::Relation) {
    let mut decoder = Decoder::new();
    let column = v1::Column {
        name: "c".to_owned(),
        kind: 1,
        ..Default::default()
    };
    let relation = |id| as_told(smallest_relation(id, vec![column.clone(); 100]));
    let read = |decoder: &mut Decoder, bytes: &[u8]| {
        let mut events = decoder.frame(bytes);
        while events.next().unwrap().is_some() {}
    };
    read(&mut decoder, &schema(vec![relation(1)]));
    let info = allocation_counter::measure(|| {
        for id in 2..1_000 {
            let bytes = v1::Frame {
                relations: vec![relation(id)],
                ..Default::default()
            };
            read(&mut decoder, &bytes.encode_to_vec());
        }
    });
    assert!(
        info.bytes_current.abs() < 4_096,
        "{} bytes are left",
        info.bytes_current
    );
}

#[test]
fn a_length_of_terabytes_allocates_nothing() {
    let mut bytes = frame(
        &relation(ReplicaIdentity::Full, &[("a", Kind::Text)], &[]),
        &[],
    );
    bytes.extend([0x22, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    read(&bytes);
}
