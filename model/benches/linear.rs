//! Speed of the linear expert: the keys of a text, and its logits, with and without segmented words.
//!
//! The expert knows all features of the texts, so that each costs an access to its values.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fenliu_model::linear::{FeatureOptions, Features, LinearExpert, Matrix};
use fenliu_model::{Labels, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHINESE: &str = "央行宣布下调存款准备金率0.5个百分点，释放长期资金约1万亿元。受此消息影响，A股三大指数集体高开，\
    银行、地产板块领涨；分析师认为，这有助于降低企业融资成本，支持实体经济发展。";
const ENGLISH: &str = "The central bank cut its benchmark rate by half a percentage point on Tuesday, saying that \
    weaker demand had begun to weigh on prices. Shares rose 1.2% in early trading, led by banks and builders. ";

const CLASSES: usize = 10;
/// Features beside those of the texts, as many as a model of headlines has.
const OTHER_FEATURES: u64 = 100_000;

/// A Chinese headline of 20 characters, an English one, and articles.
fn texts() -> [(&'static str, String); 4] {
    [
        ("zh_headline", CHINESE.chars().take(20).collect()),
        ("zh_article", CHINESE.repeat(4800 / CHINESE.len())),
        ("en_headline", ENGLISH.chars().take(80).collect()),
        ("en_article", ENGLISH.repeat(4800 / ENGLISH.len())),
    ]
}

fn expert(features: Features) -> Result<LinearExpert> {
    let mut keys: Vec<u64> = texts().iter().flat_map(|(_, text)| features.keys(text)).collect();
    // Multiples of a large odd number are spread like hashes.
    keys.extend((1..=OTHER_FEATURES).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    keys.sort_unstable();
    keys.dedup();
    let values = vec![1.0; keys.len() * CLASSES];
    let labels = Labels::from_ids((0..CLASSES).map(|class| format!("label-{class}")))?;
    LinearExpert::try_new(features, labels, keys, Matrix::new(&values, &values, vec![0.0; CLASSES]))
}

fn logits(criterion: &mut Criterion) {
    for (name, segment) in [("characters", false), ("characters_and_words", true)] {
        let options = FeatureOptions { segment, ..FeatureOptions::default() };
        let Ok(expert) = Features::try_new(options, None).and_then(expert) else { continue };
        let mut group = criterion.benchmark_group(format!("linear_{name}"));
        group.throughput(Throughput::Elements(1));
        for (text_name, text) in texts() {
            let keys = expert.features().keys(&text);
            group.bench_function(format!("keys/{text_name}"), |bencher| {
                bencher.iter(|| expert.features().keys(black_box(&text)));
            });
            group.bench_function(format!("sums/{text_name}"), |bencher| {
                bencher.iter(|| expert.logits_of_keys(black_box(&keys)));
            });
            group.bench_function(format!("logits/{text_name}"), |bencher| {
                bencher.iter(|| expert.logits(black_box(&text)));
            });
        }
    }
}

criterion_group!(benches, logits);
criterion_main!(benches);
