//! Frames into JSON events: decoder and writer together. Bytes are those of the events.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgevents_benches::{Workload, write};
use pgevents_proto::{EventJson, FrameEncoder};

fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for workload in Workload::ALL {
        let mut encoder = FrameEncoder::new();
        let elements = workload.encode(&mut encoder).expect("encode frame");
        let mut decoder = workload.decoder();
        let (mut json, mut out) = (EventJson::new(), Vec::new());
        write(&mut decoder, &mut json, encoder.bytes(), &mut out);
        let bytes = out.len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(workload.name(), |bencher| {
            bencher.iter(|| write(&mut decoder, &mut json, encoder.bytes(), &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, json);
criterion_main!(benches);
