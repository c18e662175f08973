//! Rows into frames, as the plugin writes them once it has the values.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgevents_benches::Workload;
use pgevents_proto::FrameEncoder;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for workload in Workload::ALL {
        let mut encoder = FrameEncoder::new();
        let elements = workload.encode(&mut encoder).expect("encode frame");
        let bytes = encoder.len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(workload.name(), |bencher| {
            bencher.iter(|| workload.encode(&mut encoder));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
