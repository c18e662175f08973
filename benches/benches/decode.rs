//! Frames into changes, as the relay reads them, and for comparison into prost's structs.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgevents_benches::{Workload, drain};
use pgevents_proto::{FrameEncoder, v1};
use prost::Message;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for workload in Workload::ALL {
        let mut encoder = FrameEncoder::new();
        let elements = workload.encode(&mut encoder).expect("encode frame");
        let bytes = encoder.len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        let mut decoder = workload.decoder();
        group.bench_function(workload.name(), |bencher| {
            bencher.iter(|| assert_eq!(drain(&mut decoder, encoder.bytes()), elements));
        });
        group.bench_function(format!("{}/prost", workload.name()), |bencher| {
            bencher.iter(|| v1::Frame::decode(encoder.bytes()));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
