use pgevents_proto::{
    Action, Begin, Column, Commit, Decoder, Event, EventJson, FRAME_TARGET_BYTES, FrameEncoder,
    Hello, Kind, Lsn, OutOfMemory, PROTOCOL_VERSION, Relation, ReplicaIdentity, RowBitmaps,
};

/// A kind of change that fills whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// INSERT into two columns: `id integer`, `full_name text` of 16 bytes.
    Narrow,
    /// INSERT into twelve columns of ten types.
    Wide,
    /// UPDATE of an integer beside an unchanged text of 8 KiB, under REPLICA IDENTITY FULL.
    Toast,
    /// UPDATE of two of the twelve columns under REPLICA IDENTITY FULL.
    Update,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Narrow, Self::Wide, Self::Toast, Self::Update];

    /// Name in the reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
            Self::Toast => "toast",
            Self::Update => "update",
        }
    }

    /// A decoder that has read the session's first frame, which defines the table.
    pub fn decoder(self) -> Decoder {
        let mut encoder = FrameEncoder::new();
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            ..Hello::default()
        };
        encoder.hello(&hello).expect("encode hello");
        encoder
            .relation(&self.relation(), &[])
            .expect("encode relation");
        let mut decoder = Decoder::new();
        drain(&mut decoder, encoder.bytes());
        decoder
    }

    /// Writes one transaction that fills a frame and returns its number of rows.
    ///
    /// # Errors
    ///
    /// Only when there is no memory for the frame.
    pub fn encode(self, encoder: &mut FrameEncoder) -> Result<u64, OutOfMemory> {
        let end_lsn = Lsn(0x16_00B3_74D8);
        encoder.clear();
        encoder.begin(
            &Begin {
                commit_lsn: Lsn(end_lsn.0 - 0x30),
                end_lsn,
                commit_time: 848_780_130_120_000,
                xid: 7,
            },
            "",
        )?;
        let mut rows = 0;
        while encoder.len() < FRAME_TARGET_BYTES {
            self.encode_change(encoder, rows)?;
            rows += 1;
        }
        encoder.commit(&Commit {
            end_lsn,
            filtered_rows: 0,
            noop_rows: 0,
        })?;
        Ok(rows as u64)
    }

    fn encode_change(self, encoder: &mut FrameEncoder, row: i64) -> Result<(), OutOfMemory> {
        let action = match self {
            Self::Narrow | Self::Wide => Action::Insert,
            Self::Toast | Self::Update => Action::Update,
        };
        let change = encoder.open_change(0, action, 1)?;
        let new = encoder.open_new(RowBitmaps::default())?;
        match self {
            Self::Narrow => {
                encoder.integer(100_000 + row)?;
                encoder.value_bytes(b"Mikael \xC3\x85kerfeldt")?;
            }
            Self::Wide | Self::Update => wide_row(encoder, row)?,
            Self::Toast => {
                encoder.integer(row)?;
                encoder.integer(row + 1)?;
                encoder.value_bytes(&DOCUMENT)?;
            }
        }
        encoder.finish_row(new)?;
        let changed: Option<&[u8]> = match self {
            Self::Narrow | Self::Wide => None,
            Self::Toast => Some(&[0b010]),
            Self::Update => Some(&[0b0001_0100, 0]),
        };
        if let Some(columns) = changed {
            let old = encoder.open_old(RowBitmaps {
                columns: Some(columns),
                nulls: None,
            })?;
            encoder.integer(row)?;
            if self == Self::Update {
                encoder.value_bytes(b"before@example.org")?;
            }
            encoder.finish_row(old)?;
            encoder.old_complete()?;
        }
        encoder.finish_change(change)
    }

    fn relation(self) -> Relation {
        let columns: &[(&str, Kind)] = match self {
            Self::Narrow => &[("id", Kind::Integer), ("full_name", Kind::Text)],
            Self::Toast => &[
                ("id", Kind::Integer),
                ("revision", Kind::Integer),
                ("document", Kind::Text),
            ],
            Self::Wide | Self::Update => &WIDE,
        };
        let column = |&(name, kind): &(&str, Kind)| Column {
            name: name.to_owned(),
            type_oid: 0,
            kind,
            identity: false,
        };
        Relation {
            id: 1,
            oid: 16_384,
            schema: "public".to_owned(),
            name: "users".to_owned(),
            replica_identity: ReplicaIdentity::Full,
            columns: columns.iter().map(column).collect(),
            primary_key: vec![0],
        }
    }
}

/// Reads a frame to its end and returns its number of changes.
pub fn drain(decoder: &mut Decoder, frame: &[u8]) -> u64 {
    let mut events = decoder.frame(frame);
    let mut changes = 0;
    while let Some(event) = events.next().expect("decode frame") {
        changes += u64::from(matches!(event, Event::Change(_)));
    }
    changes
}

/// Writes the JSON events of a frame one after the other into `out`, which is emptied first.
pub fn write(decoder: &mut Decoder, json: &mut EventJson, frame: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut events = decoder.frame(frame);
    while let Some(event) = events.next().expect("decode frame") {
        match event {
            Event::Change(change) => json.write(&change, out),
            Event::Hello(_)
            | Event::Relation(_)
            | Event::Begin(_)
            | Event::Message(_)
            | Event::Commit(_)
            | Event::Unknown => {}
        }
    }
}

static DOCUMENT: [u8; 8192] = [b'x'; 8192];

const WIDE: [(&str, Kind); 12] = [
    ("id", Kind::Integer),
    ("account_id", Kind::Integer),
    ("visits", Kind::Integer),
    ("full_name", Kind::Text),
    ("email", Kind::Text),
    ("active", Kind::Bool),
    ("balance", Kind::Numeric),
    ("score", Kind::Float8),
    ("token", Kind::Uuid),
    ("born", Kind::Date),
    ("created_at", Kind::Timestamptz),
    ("settings", Kind::Json),
];

fn wide_row(encoder: &mut FrameEncoder, row: i64) -> Result<(), OutOfMemory> {
    encoder.integer(100_000 + row)?;
    encoder.integer(9_000_000_000 + row)?;
    encoder.integer(row + 1)?;
    encoder.value_bytes(b"Mikael \xC3\x85kerfeldt")?;
    encoder.value_bytes(b"mikael@example.org")?;
    encoder.integer(1)?;
    encoder.value_bytes(b"1234.50")?;
    encoder.float8(row as f64 * 0.37)?;
    encoder.value_bytes(&[0x5A; 16])?;
    encoder.integer(-9_000 + row)?;
    encoder.micros(848_780_130_123_456 + row)?;
    encoder.value_bytes(br#"{"theme": "dark", "tags": [1, 2]}"#)
}
