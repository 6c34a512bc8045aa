//! Speed of what surrounds an inference call: tokenising texts, planning and padding batches.
//!
//! Throughput counts the bytes of whole texts, also where a tokenizer stops at its limit.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fenliu_model::batcher::{TokenBatch, plan};
use fenliu_model::{BatchOptions, Encoding, Tokenizer, VocabularyOptions};

const CHINESE: &str = "央行宣布下调存款准备金率0.5个百分点，释放长期资金约1万亿元。受此消息影响，A股三大指数集体高开，\
    银行、地产板块领涨；分析师认为，这有助于降低企业融资成本，支持实体经济发展。";
const ENGLISH: &str = "The central bank cut its benchmark rate by half a percentage point on Tuesday, saying that \
    weaker demand had begun to weigh on prices. Shares rose 1.2% in early trading, led by banks and builders. ";

/// Tokens that a classifier of news articles reads.
const MAX_TOKENS: usize = 256;

/// `CHINESE` or `ENGLISH` as a headline, and repeated to the length of an article.
fn texts() -> [(&'static str, String); 4] {
    let headline = |text: &str| text.chars().take(24).collect();
    let article = |text: &str| text.repeat(4800 / text.len());
    [
        ("zh_headline", headline(CHINESE)),
        ("zh_article", article(CHINESE)),
        ("en_headline", headline(ENGLISH)),
        ("en_article", article(ENGLISH)),
    ]
}

fn encode(criterion: &mut Criterion) {
    let corpus = [CHINESE.to_owned(), ENGLISH.to_owned()];
    let options = VocabularyOptions { min_count: 1, ..VocabularyOptions::default() };
    for train in [Tokenizer::train_words, Tokenizer::train_subword] {
        let Ok(tokenizer) = train(&corpus, &options) else { continue };
        let mut group = criterion.benchmark_group(format!("encode_{:?}", tokenizer.kind()).to_lowercase());
        for (name, text) in texts() {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(name, |bencher| {
                bencher.iter(|| tokenizer.encode(black_box(&text), MAX_TOKENS))
            });
        }
    }
}

fn batch(criterion: &mut Criterion) {
    const ROWS: usize = 8192;
    // Lengths spread over 1..=256 in no order: 97 has no factor in common with 256.
    let lengths: Vec<usize> = (0..ROWS).map(|row| row * 97 % MAX_TOKENS + 1).collect();
    let encodings: Vec<Encoding> =
        lengths.iter().map(|length| Encoding::new(vec![7; *length], false)).collect();
    let batches = plan(&lengths, &BatchOptions::default());

    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("plan", |bencher| {
        bencher.iter(|| plan(black_box(&lengths), &BatchOptions::default()));
    });
    group.bench_function("pad", |bencher| {
        bencher.iter(|| {
            for rows in &batches {
                let members: Vec<&[u32]> = rows.iter().map(|row| encodings[*row].ids.as_slice()).collect();
                black_box(TokenBatch::pad(&members, 0));
            }
        });
    });
}

criterion_group!(benches, encode, batch);
criterion_main!(benches);
