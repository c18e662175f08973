//! Sessions of one frame, for all tests.

use pgevents_proto::{
    Action, Begin, Column, Commit, Decoder, Event, EventJson, FrameEncoder, Hello, Kind, Lsn,
    OmittedReason, PROTOCOL_VERSION, Relation, ReplicaIdentity, RowBitmaps, Value,
};

pub const COMMIT_LSN: Lsn = Lsn(0x16_00B3_74A8);
pub const END_LSN: Lsn = Lsn(0x16_00B3_74D8);

/// A [`Value`] that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Absent,
    Null,
    Integer(i64),
    Micros(i64),
    Float4(f32),
    Float8(f64),
    Bytes(Vec<u8>),
    Omitted(OmittedReason, u64),
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    /// The same value, NaNs included.
    pub fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Absent, Value::Absent) | (Self::Null, Value::Null) => true,
            (Self::Integer(cell), Value::Integer(value)) => *cell == value,
            (Self::Micros(cell), Value::Micros(value)) => *cell == value,
            (Self::Float4(cell), Value::Float4(value)) => cell.to_bits() == value.to_bits(),
            (Self::Float8(cell), Value::Float8(value)) => cell.to_bits() == value.to_bits(),
            (Self::Bytes(cell), Value::Bytes(value)) => cell == value,
            (Self::Omitted(why, bytes), Value::Omitted { reason, size }) => {
                (*why, *bytes) == (reason, size)
            }
            _ => false,
        }
    }
}

/// A row change as a test states it.
#[derive(Clone, Debug)]
pub struct Stated {
    pub skipped: u64,
    pub action: Action,
    pub new: Option<Vec<Cell>>,
    pub old: Option<Vec<Cell>>,
    pub old_complete: bool,
}

impl Stated {
    pub fn insert(new: Vec<Cell>) -> Self {
        Self {
            skipped: 0,
            action: Action::Insert,
            new: Some(new),
            old: None,
            old_complete: false,
        }
    }

    pub fn update(new: Vec<Cell>, old: Option<Vec<Cell>>, old_complete: bool) -> Self {
        Self {
            skipped: 0,
            action: Action::Update,
            new: Some(new),
            old,
            old_complete,
        }
    }

    pub fn delete(old: Option<Vec<Cell>>, old_complete: bool) -> Self {
        Self {
            skipped: 0,
            action: Action::Delete,
            new: None,
            old,
            old_complete,
        }
    }

    pub fn truncate() -> Self {
        Self {
            skipped: 0,
            action: Action::Truncate,
            new: None,
            old: None,
            old_complete: false,
        }
    }

    pub fn write(&self, relation: u32, encoder: &mut FrameEncoder) {
        let change = encoder
            .open_change(self.skipped, self.action, relation)
            .unwrap();
        if let Some(new) = &self.new {
            write_row(encoder, new, true);
        }
        if let Some(old) = &self.old {
            write_row(encoder, old, false);
        }
        if self.old_complete {
            encoder.old_complete().unwrap();
        }
        encoder.finish_change(change).unwrap();
    }
}

fn write_row(encoder: &mut FrameEncoder, cells: &[Cell], new: bool) {
    let bitmap = |keep: fn(&Cell) -> bool| {
        let mut bits = vec![0; cells.len().div_ceil(8)];
        for (at, _) in cells.iter().enumerate().filter(|(_, cell)| keep(cell)) {
            bits[at / 8] |= 1 << (at % 8);
        }
        bits
    };
    let columns = cells
        .contains(&Cell::Absent)
        .then(|| bitmap(|cell| *cell != Cell::Absent));
    let nulls = cells
        .contains(&Cell::Null)
        .then(|| bitmap(|cell| *cell == Cell::Null));
    let bitmaps = RowBitmaps {
        columns: columns.as_deref(),
        nulls: nulls.as_deref(),
    };
    let row = if new {
        encoder.open_new(bitmaps)
    } else {
        encoder.open_old(bitmaps)
    }
    .unwrap();
    for (at, cell) in cells.iter().enumerate() {
        if let Cell::Omitted(reason, size) = cell {
            encoder.omitted(at, *reason, *size).unwrap();
        }
    }
    for cell in cells {
        match cell {
            Cell::Absent | Cell::Null | Cell::Omitted(..) => Ok(()),
            Cell::Integer(value) => encoder.integer(*value),
            Cell::Micros(value) => encoder.micros(*value),
            Cell::Float4(value) => encoder.float4(*value),
            Cell::Float8(value) => encoder.float8(*value),
            Cell::Bytes(value) => encoder.value_bytes(value),
        }
        .unwrap();
    }
    encoder.finish_row(row).unwrap();
}

pub fn hello() -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        plugin_version: "0.1.0".to_owned(),
        server_version_num: 150_020,
        database_encoding: "UTF8".to_owned(),
        options: vec!["tables=public.*".to_owned()],
    }
}

/// `public.users` with these columns; each is `name:kind`, a `*` behind it marks the identity.
pub fn relation(identity: ReplicaIdentity, columns: &[(&str, Kind)], key: &[u32]) -> Relation {
    let column = |&(name, kind): &(&str, Kind)| {
        let (name, identity) = match name.strip_suffix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        Column {
            name: name.to_owned(),
            type_oid: 25,
            kind,
            identity,
        }
    };
    Relation {
        id: 1,
        oid: 16_384,
        schema: "public".to_owned(),
        name: "users".to_owned(),
        replica_identity: identity,
        columns: columns.iter().map(column).collect(),
        primary_key: key.to_vec(),
    }
}

/// One frame with one whole transaction.
pub fn frame(relation: &Relation, changes: &[Stated]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new();
    encoder.hello(&hello()).unwrap();
    encoder.relation(relation, &[]).unwrap();
    encoder
        .begin(
            &Begin {
                commit_lsn: COMMIT_LSN,
                end_lsn: END_LSN,
                commit_time: 5,
                xid: 7,
            },
            "",
        )
        .unwrap();
    for change in changes {
        change.write(relation.id, &mut encoder);
    }
    encoder
        .commit(&Commit {
            end_lsn: END_LSN,
            filtered_rows: 0,
            noop_rows: 0,
        })
        .unwrap();
    encoder.bytes().to_vec()
}

/// The JSON events of a frame.
pub fn events(frame: &[u8]) -> Vec<String> {
    let (mut decoder, mut json) = (Decoder::new(), EventJson::new());
    let mut events = decoder.frame(frame);
    let mut written = Vec::new();
    while let Some(event) = events.next().unwrap() {
        match event {
            Event::Change(change) => {
                let mut out = Vec::new();
                json.write(&change, &mut out);
                written.push(String::from_utf8(out).expect("an event is UTF-8"));
            }
            Event::Hello(_)
            | Event::Relation(_)
            | Event::Begin(_)
            | Event::Message(_)
            | Event::Commit(_)
            | Event::Unknown => {}
        }
    }
    written
}
