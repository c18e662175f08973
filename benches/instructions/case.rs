//! What is counted.

use std::hint::black_box;

use pgevents_benches::{Workload, drain, write};
use pgevents_proto::{EventJson, FrameEncoder};

/// One part of the way of a row, with one kind of row.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    part: Part,
    workload: Workload,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Native values into a frame, inside PostgreSQL.
    Encode,
    /// A frame into changes, in the relay.
    Decode,
    /// A frame into JSON events: decoder and writer together.
    Json,
}

impl Case {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Part::Encode, Part::Decode, Part::Json]
            .into_iter()
            .flat_map(|part| Workload::ALL.map(|workload| Self { part, workload }))
    }

    /// Name in the list of counts.
    pub fn name(self) -> String {
        let part = match self.part {
            Part::Encode => "encode",
            Part::Decode => "decode",
            Part::Json => "json",
        };
        format!("{part} {}", self.workload.name())
    }

    /// Rows of one frame.
    pub fn rows(self) -> u64 {
        self.frame().1
    }

    /// Works through a frame so many times.
    pub fn repeat(self, times: u32) {
        let (mut encoder, _) = self.frame();
        let mut decoder = self.workload.decoder();
        let (mut json, mut out) = (EventJson::new(), Vec::with_capacity(1 << 20));
        for _ in 0..times {
            match self.part {
                Part::Encode => {
                    let rows = self.workload.encode(&mut encoder);
                    black_box(rows.expect("encode frame"));
                }
                Part::Decode => {
                    black_box(drain(&mut decoder, black_box(encoder.bytes())));
                }
                Part::Json => write(
                    &mut decoder,
                    &mut json,
                    black_box(encoder.bytes()),
                    &mut out,
                ),
            }
        }
        black_box(out.len());
    }

    fn frame(self) -> (FrameEncoder, u64) {
        let mut encoder = FrameEncoder::new();
        let rows = self.workload.encode(&mut encoder).expect("encode frame");
        (encoder, rows)
    }
}
