//! Time of one training step: forward, backward, update.

use criterion::{Criterion, criterion_group, criterion_main};
use fenliu_training::{Adaptation, EncoderShape, Preset, StepBench};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn cases() -> Vec<(&'static str, StepBench)> {
    let base = StepBench::preset(Preset::Base);
    let encoder = EncoderShape { layers: 12, width: 384, heads: 12, feed_forward: 1536 };
    let headlines =
        StepBench { encoder, is_bert: true, vocabulary: 40_000, rows: 64, tokens: 14, ..base.clone() };
    let articles = StepBench {
        encoder: EncoderShape { layers: 6, ..encoder },
        vocabulary: 30_000,
        rows: 32,
        tokens: 128,
        ..headlines.clone()
    };
    vec![
        ("classic 32x128", StepBench::preset(Preset::Classic)),
        ("base 32x128", base),
        ("bert-12x384 64x14", headlines.clone()),
        ("bert-12x384 64x14 lora-8", StepBench { adaptation: Adaptation::lora(8), ..headlines }),
        ("bert-6x384 32x128", articles.clone()),
        (
            "bert-6x384 32x128 top-2",
            StepBench { adaptation: Adaptation::TopLayers { layers: 2 }, ..articles },
        ),
    ]
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10);
    for (name, bench) in cases() {
        #[expect(clippy::unwrap_used, reason = "a step that fails ends the benchmark")]
        group.bench_function(name, |bencher| bencher.iter_custom(|steps| bench.time(steps).unwrap()));
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
