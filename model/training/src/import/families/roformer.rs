//! RoFormer (Su et al., 2021): BERT whose attention rotates queries and keys by their positions.

use fenliu_model::Result;
use serde::Deserialize;

use super::network::BERT_LAYER;
use super::{Family, Kind, WORDS};
use crate::import::config::{Config, Defaults, EncoderSettings, check_positions};
use crate::import::served::{Bias, Encoder, Pairs, Rotary, Writer, angles};
use crate::onnx::{ROWS, Value};

pub(super) const FAMILY: Family = Family {
    name: "roformer",
    prefix: "roformer.",
    tokens: WORDS,
    head: &["classifier.dense", "classifier.out_proj"],
    kind: Kind::Graph(read),
};

const BASE: f32 = 10_000.0;

#[derive(Debug, Deserialize)]
struct Keys {
    #[serde(default)]
    embedding_size: Option<usize>,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default)]
    rotary_value: bool,
}

fn positions() -> usize {
    1536
}

struct RoFormer {
    settings: EncoderSettings,
    /// Rows of the table of tokens.
    tokens: usize,
    embedding_width: usize,
    positions: usize,
    /// Whether values are rotated, too.
    rotates_values: bool,
}

fn read(config: &Config, tokens: usize) -> Result<Box<dyn Encoder>> {
    let settings = EncoderSettings::read(config, Defaults { activation: "gelu", epsilon: 1e-12 })?;
    let keys: Keys = config.keys()?;
    let positions = check_positions("max_position_embeddings", keys.max_position_embeddings);
    let positions = positions.map_err(|problem| config.refuse(&problem))?;
    let head_width = settings.head_width();
    if !head_width.is_multiple_of(2) {
        return Err(
            config.refuse(&format!("attention heads have a width of {head_width} but it must be even"))
        );
    }
    Ok(Box::new(RoFormer {
        settings,
        tokens,
        embedding_width: keys.embedding_size.unwrap_or(settings.shape.width),
        positions,
        rotates_values: keys.rotary_value,
    }))
}

impl Encoder for RoFormer {
    fn width(&self) -> usize {
        self.settings.shape.width
    }

    fn positions(&self) -> usize {
        self.positions
    }

    fn hidden(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let mut hidden = self.embeddings(writer)?;
        let padding = writer.builder.padding_bias(&writer.mask);
        let rotary = self.rotary(writer)?;
        for number in 0..self.settings.shape.layers {
            let path = writer.inner(&format!("encoder.layer.{number}"));
            hidden = self.layer(writer, &path, &hidden, &padding, &rotary)?;
        }
        Ok(hidden)
    }

    fn head(&self, writer: &mut Writer<'_>, hidden: &Value, labels: usize) -> Result<Value> {
        let width = self.width();
        let first = writer.builder.first_token(hidden);
        let dense = writer.linear(&first, FAMILY.head[0], [width, width], Bias::With)?;
        let dense = writer.builder.activation(&dense, self.settings.activation);
        writer.linear(&dense, FAMILY.head[1], [width, labels], Bias::With)
    }
}

impl RoFormer {
    fn embeddings(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let width = self.embedding_width;
        let words = writer.token_rows(&writer.inner(WORDS), self.tokens, width)?;
        let types = writer.first_row(&writer.inner("embeddings.token_type_embeddings.weight"), width)?;
        let sum = writer.builder.add(&words, &types);
        let norm = writer.inner("embeddings.LayerNorm");
        let normed = writer.norm(&sum, &norm, width, self.settings.epsilon, Bias::With)?;
        if width == self.width() {
            return Ok(normed);
        }
        let projection = writer.inner("embeddings_project");
        writer.linear(&normed, &projection, [width, self.width()], Bias::With)
    }

    /// Sines and cosines of all positions: those of the checkpoint, which may lack them, as they are not trained.
    fn rotary(&self, writer: &mut Writer<'_>) -> Result<Rotary> {
        let head_width = self.settings.head_width();
        let name = writer.inner("encoder.embed_positions.weight");
        let [sines, cosines] = if writer.has(&name) {
            let rows = writer.values(&name, &[self.positions, head_width])?;
            let half = |start: usize| -> Vec<f32> {
                let row = |row: &[f32]| row[start..start + head_width / 2].to_vec();
                rows.chunks(head_width).flat_map(row).collect()
            };
            [half(0), half(head_width / 2)]
        } else {
            let angles = angles(self.positions, head_width, BASE);
            [f32::sin, f32::cos].map(|function| angles.iter().map(|angle| function(*angle)).collect())
        };
        let (builder, ids) = (&mut writer.builder, &writer.ids);
        Ok(Rotary::add(builder, ids, "positions", Pairs::Neighbours, head_width, [&sines, &cosines]))
    }

    fn layer(
        &self,
        writer: &mut Writer<'_>,
        path: &str,
        x: &Value,
        padding: &Value,
        rotary: &Rotary,
    ) -> Result<Value> {
        let (settings, names) = (&self.settings, &BERT_LAYER);
        let name = |part: &str| format!("{path}.{part}");
        let queries = writer.by_head(x, &name(names.queries), settings, ROWS)?;
        let queries = rotary.rotate(&mut writer.builder, &queries);
        let keys = writer.by_head(x, &name(names.keys), settings, ROWS)?;
        let keys = rotary.rotate(&mut writer.builder, &keys);
        let keys = writer.builder.transpose(&keys, &[0, 1, 3, 2]);
        let mut values = writer.by_head(x, &name(names.values), settings, ROWS)?;
        if self.rotates_values {
            values = rotary.rotate(&mut writer.builder, &values);
        }
        let scale = 1.0 / (settings.head_width() as f32).sqrt();
        let scores = writer.builder.scores(&queries, &keys, scale, &[padding]);
        let mixed = writer.builder.mixed(&scores, &values, self.width());
        writer.post_norm(path, names, settings, x, &mixed)
    }
}
