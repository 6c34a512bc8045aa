//! MPNet (Song et al., 2020): BERT with a bias of attention for each distance between two tokens, which all layers share.

use fenliu_model::Result;
use serde::Deserialize;

use super::network::LayerNames;
use super::{Family, Kind, WORDS};
use crate::architecture::Activation;
use crate::import::config::{Config, Defaults, EncoderSettings};
use crate::import::served::{Bias, Encoder, Writer};
use crate::onnx::{COLUMNS, ROWS, Value};

pub(super) const FAMILY: Family = Family {
    name: "mpnet",
    prefix: "mpnet.",
    tokens: WORDS,
    head: &["classifier.dense", "classifier.out_proj"],
    kind: Kind::Graph(read),
};

/// Numbers of distances; `transformers` computes with this one whatever `relative_attention_num_buckets` is.
const BUCKETS: usize = 32;
/// Distances from which on all have the same number.
const FARTHEST: f32 = 128.0;
/// The row of the first position: the padding token's id, which is fixed, plus one.
const FIRST_POSITION: usize = 2;

const LAYER: LayerNames = LayerNames {
    queries: "attention.attn.q",
    keys: "attention.attn.k",
    values: "attention.attn.v",
    attention_output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    expand: "intermediate.dense",
    contract: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

#[derive(Debug, Deserialize)]
struct Keys {
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
}

fn positions() -> usize {
    512
}

fn buckets() -> usize {
    BUCKETS
}

struct MpNet {
    settings: EncoderSettings,
    /// Rows of the table of tokens.
    tokens: usize,
    /// Rows of the table of positions, including unused ones.
    position_rows: usize,
}

fn read(config: &Config, tokens: usize) -> Result<Box<dyn Encoder>> {
    let settings = EncoderSettings::read(config, Defaults { activation: "gelu", epsilon: 1e-12 })?;
    let keys: Keys = config.keys()?;
    let buckets = keys.relative_attention_num_buckets;
    if buckets != BUCKETS {
        let problem = format!("`relative_attention_num_buckets` is {buckets} but must be {BUCKETS}");
        return Err(config.refuse(&problem));
    }
    let position_rows = keys.max_position_embeddings;
    if position_rows <= FIRST_POSITION {
        let problem = format!("`max_position_embeddings` is {position_rows} but must be more than 2");
        return Err(config.refuse(&problem));
    }
    Ok(Box::new(MpNet { settings, tokens, position_rows }))
}

impl Encoder for MpNet {
    fn width(&self) -> usize {
        self.settings.shape.width
    }

    fn positions(&self) -> usize {
        self.position_rows - FIRST_POSITION
    }

    fn hidden(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let (width, epsilon) = (self.width(), self.settings.epsilon);
        let words = writer.token_rows(&writer.inner(WORDS), self.tokens, width)?;
        let table = writer.inner("embeddings.position_embeddings.weight");
        let positions = writer.position_rows(&table, [FIRST_POSITION, self.position_rows], width)?;
        let sum = writer.builder.add(&words, &positions);
        let norm = writer.inner("embeddings.LayerNorm");
        let mut hidden = writer.norm(&sum, &norm, width, epsilon, Bias::With)?;
        let padding = writer.builder.padding_bias(&writer.mask);
        let distance = self.distance_bias(writer)?;
        let bias = writer.builder.add(&padding, &distance);
        for number in 0..self.settings.shape.layers {
            let path = writer.inner(&format!("encoder.layer.{number}"));
            hidden = self.layer(writer, &path, &hidden, &bias)?;
        }
        Ok(hidden)
    }

    fn head(&self, writer: &mut Writer<'_>, hidden: &Value, labels: usize) -> Result<Value> {
        let width = self.width();
        let first = writer.builder.first_token(hidden);
        let dense = writer.linear(&first, FAMILY.head[0], [width, width], Bias::With)?;
        let dense = writer.builder.activation(&dense, Activation::Tanh);
        writer.linear(&dense, FAMILY.head[1], [width, labels], Bias::With)
    }
}

impl MpNet {
    /// The bias for each head, query and key: `[1, heads, tokens, tokens]`.
    fn distance_bias(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let heads = self.settings.shape.heads;
        let name = writer.inner("encoder.relative_attention_bias.weight");
        let by_bucket = writer.values(&name, &[BUCKETS, heads])?;
        // One row for each distance, from that of the last query and first key to its opposite.
        let most = self.positions() as i64 - 1;
        let rows = (-most..=most).rev().flat_map(|ahead| {
            let row = bucket(ahead) * heads;
            by_bucket[row..row + heads].to_vec()
        });
        let rows: Vec<f32> = rows.collect();
        let table = writer.builder.floats(&name, &[2 * most as usize + 1, heads], &rows);
        let behind = writer.builder.distances(&writer.ids);
        let offset = writer.builder.index(most);
        let numbers = writer.builder.add(&behind, &offset);
        let gathered = writer.builder.node("Gather", &[&table, &numbers], vec![]);
        let by_head = writer.builder.transpose(&gathered, &[2, 0, 1]);
        Ok(writer.builder.unsqueeze(&by_head, &[0]))
    }

    fn layer(&self, writer: &mut Writer<'_>, path: &str, x: &Value, bias: &Value) -> Result<Value> {
        let settings = &self.settings;
        let name = |part: &str| format!("{path}.{part}");
        let queries = writer.by_head(x, &name(LAYER.queries), settings, ROWS)?;
        let keys = writer.by_head(x, &name(LAYER.keys), settings, COLUMNS)?;
        let values = writer.by_head(x, &name(LAYER.values), settings, ROWS)?;
        let scale = 1.0 / (settings.head_width() as f32).sqrt();
        let scores = writer.builder.scores(&queries, &keys, scale, &[bias]);
        let mixed = writer.builder.mixed(&scores, &values, self.width());
        writer.post_norm(path, &LAYER, settings, x, &mixed)
    }
}

/// The number of a distance, positive if the key is ahead of the query: one for each small distance, then more and more
/// distances share one (T5; Raffel et al., 2020).
fn bucket(ahead: i64) -> usize {
    let half = BUCKETS / 2;
    let exact = half / 2;
    let side = if ahead > 0 { half } else { 0 };
    let distance = ahead.unsigned_abs() as usize;
    if distance < exact {
        return side + distance;
    }
    let share = (distance as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln();
    side + (exact + (share * (half - exact) as f32) as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    /// Computed with `MPNetEncoder.relative_position_bucket` of `transformers`.
    #[test]
    fn distances_have_the_numbers_of_transformers() {
        let distances = [0, 1, -1, 7, -7, 8, -8, 11, 12, 16, -20, 31, 32, 64, -100, 127, 128, -400];
        let buckets = [0, 17, 1, 23, 7, 24, 8, 24, 25, 26, 10, 27, 28, 30, 15, 31, 31, 15];
        assert_eq!(distances.map(bucket), buckets);
    }
}
