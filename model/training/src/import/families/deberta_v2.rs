//! DeBERTa v2 and v3 (He et al., 2021): BERT whose attention scores also depend on the distance between two tokens, once with
//! the query and once with the key ("disentangled" attention).

mod distances;

use fenliu_model::Result;
use fenliu_model::onnx::AttributeProto;
use serde::Deserialize;

use super::network::LayerNames;
use super::{Family, Kind, WORDS};
use crate::architecture::Activation;
use crate::import::config::{Config, Defaults, EncoderSettings, activation, check_positions};
use crate::import::served::{Bias, Encoder, Writer};
use crate::onnx::{COLUMNS, ROWS, Value, integer, integers};
use distances::Distances;

pub(super) const FAMILY: Family = Family {
    name: "deberta-v2",
    prefix: "deberta.",
    tokens: WORDS,
    head: &["pooler.dense", "classifier"],
    kind: Kind::Graph(read),
};

const LAYER: LayerNames = LayerNames {
    queries: "attention.self.query_proj",
    keys: "attention.self.key_proj",
    values: "attention.self.value_proj",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    expand: "intermediate.dense",
    contract: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

/// The keys that are used beside those of all encoders; defaults are those of `DebertaV2Config`.
#[derive(Debug, Deserialize)]
struct Keys {
    #[serde(default)]
    embedding_size: Option<usize>,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "yes")]
    position_biased_input: bool,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default)]
    relative_attention: bool,
    #[serde(default)]
    pos_att_type: Option<Parts>,
    #[serde(default)]
    share_att_key: bool,
    #[serde(default = "none")]
    max_relative_positions: i64,
    #[serde(default = "none")]
    position_buckets: i64,
    #[serde(default)]
    norm_rel_ebd: Option<String>,
    #[serde(default)]
    attention_head_size: Option<usize>,
    #[serde(default)]
    conv_kernel_size: usize,
    #[serde(default = "one")]
    conv_groups: usize,
    #[serde(default = "tanh")]
    conv_act: String,
    #[serde(default = "gelu")]
    pooler_hidden_act: String,
    #[serde(default)]
    pooler_hidden_size: Option<usize>,
}

/// Names of parts, in a list or joined by `|`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Parts {
    List(Vec<String>),
    Joined(String),
}

fn positions() -> usize {
    512
}

fn yes() -> bool {
    true
}

fn none() -> i64 {
    -1
}

fn one() -> usize {
    1
}

fn tanh() -> String {
    "tanh".to_owned()
}

fn gelu() -> String {
    "gelu".to_owned()
}

struct DebertaV2 {
    settings: EncoderSettings,
    keys: Keys,
    /// Rows of the table of tokens.
    tokens: usize,
    /// Whether scores depend on the distance with the query, and with the key.
    parts: [bool; 2],
    convolution_activation: Activation,
    pooler_activation: Activation,
}

/// What all layers have in common.
struct Shared {
    padding: Value,
    /// The embeddings of distances, if attention uses them: `[numbers, width]`.
    distances: Option<Value>,
    /// The numbers of distances, for query and key and for key and query: `[tokens, tokens]`.
    numbers: [Value; 2],
}

fn read(config: &Config, tokens: usize) -> Result<Box<dyn Encoder>> {
    let settings = EncoderSettings::read(config, Defaults { activation: "gelu", epsilon: 1e-7 })?;
    let keys: Keys = config.keys()?;
    match keys.encoder(settings, tokens) {
        Ok(encoder) => Ok(Box::new(encoder)),
        Err(problem) => Err(config.refuse(&problem)),
    }
}

impl Keys {
    fn encoder(self, settings: EncoderSettings, tokens: usize) -> Result<DebertaV2, String> {
        self.check(&settings)?;
        let parts = self.parts()?;
        let convolution_activation = activation("conv_act", &self.conv_act)?;
        let pooler_activation = activation("pooler_hidden_act", &self.pooler_hidden_act)?;
        Ok(DebertaV2 { settings, keys: self, tokens, parts, convolution_activation, pooler_activation })
    }

    fn check(&self, settings: &EncoderSettings) -> Result<(), String> {
        let (width, head_width) = (settings.shape.width, settings.head_width());
        let fixed = [
            ("attention_head_size", self.attention_head_size, head_width),
            ("pooler_hidden_size", self.pooler_hidden_size, width),
        ];
        for (key, found, wanted) in fixed {
            if let Some(found) = found.filter(|found| *found != wanted) {
                return Err(format!("`{key}` is {found} but must be {wanted}"));
            }
        }
        check_positions("max_position_embeddings", self.max_position_embeddings)?;
        self.distances().check()?;
        if self.conv_kernel_size > 0 && self.conv_kernel_size.is_multiple_of(2) {
            return Err(format!("`conv_kernel_size` is {} but must be odd", self.conv_kernel_size));
        }
        if self.conv_groups == 0 || !width.is_multiple_of(self.conv_groups) {
            return Err(format!("a width of {width} cannot be shared by {} `conv_groups`", self.conv_groups));
        }
        Ok(())
    }

    /// Whether `pos_att_type` names `c2p` (content of the query) and `p2c` (content of the key).
    fn parts(&self) -> Result<[bool; 2], String> {
        let names: Vec<String> = match &self.pos_att_type {
            None => Vec::new(),
            Some(Parts::List(names)) => names.clone(),
            Some(Parts::Joined(names)) => {
                names.to_lowercase().split('|').map(|name| name.trim().to_owned()).collect()
            }
        };
        let known = ["c2p", "p2c"];
        if let Some(other) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("`pos_att_type` names `{other}` but may name c2p and p2c only"));
        }
        Ok(known.map(|known| names.iter().any(|name| name == known)))
    }

    fn distances(&self) -> Distances {
        let positions = self.max_position_embeddings;
        let farthest = usize::try_from(self.max_relative_positions).ok().filter(|most| *most > 0);
        let buckets = usize::try_from(self.position_buckets).ok().filter(|buckets| *buckets > 0);
        Distances { positions, farthest: farthest.unwrap_or(positions), buckets }
    }
}

impl Encoder for DebertaV2 {
    fn width(&self) -> usize {
        self.settings.shape.width
    }

    fn positions(&self) -> usize {
        self.keys.max_position_embeddings
    }

    fn hidden(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let embedded = self.embeddings(writer)?;
        let shared = self.shared(writer)?;
        let mut hidden = embedded.clone();
        for number in 0..self.settings.shape.layers {
            let path = writer.inner(&format!("encoder.layer.{number}"));
            hidden = self.layer(writer, &path, &hidden, &shared)?;
            if number == 0 && self.keys.conv_kernel_size > 0 {
                hidden = self.convolution(writer, &embedded, &hidden)?;
            }
        }
        Ok(hidden)
    }

    fn head(&self, writer: &mut Writer<'_>, hidden: &Value, labels: usize) -> Result<Value> {
        let width = self.width();
        let first = writer.builder.first_token(hidden);
        let dense = writer.linear(&first, FAMILY.head[0], [width, width], Bias::With)?;
        let dense = writer.builder.activation(&dense, self.pooler_activation);
        writer.linear(&dense, FAMILY.head[1], [width, labels], Bias::With)
    }
}

impl DebertaV2 {
    fn norm(&self, writer: &mut Writer<'_>, x: &Value, name: &str) -> Result<Value> {
        let name = writer.inner(name);
        writer.norm(x, &name, self.width(), self.settings.epsilon, Bias::With)
    }

    fn embeddings(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let width = self.keys.embedding_size.unwrap_or(self.width());
        let mut sum = writer.token_rows(&writer.inner(WORDS), self.tokens, width)?;
        if self.keys.position_biased_input {
            let name = writer.inner("embeddings.position_embeddings.weight");
            let positions = writer.position_rows(&name, [0, self.positions()], width)?;
            sum = writer.builder.add(&sum, &positions);
        }
        if self.keys.type_vocab_size > 0 {
            let types = writer.first_row(&writer.inner("embeddings.token_type_embeddings.weight"), width)?;
            sum = writer.builder.add(&sum, &types);
        }
        if width != self.width() {
            let projection = writer.inner("embeddings.embed_proj");
            sum = writer.linear(&sum, &projection, [width, self.width()], Bias::Without)?;
        }
        let normed = self.norm(writer, &sum, "embeddings.LayerNorm")?;
        // The convolution reads beyond the end of a text.
        Ok(without_padding(writer, &normed))
    }

    fn shared(&self, writer: &mut Writer<'_>) -> Result<Shared> {
        let padding = writer.builder.padding_bias(&writer.mask);
        let distances = self.keys.distances();
        let mut embeddings = None;
        if self.keys.relative_attention {
            let name = writer.inner("encoder.rel_embeddings.weight");
            let table = writer.constant(&name, &[2 * distances.span(), self.width()])?;
            let kinds = self.keys.norm_rel_ebd.as_deref().unwrap_or_default().to_lowercase();
            let is_normed = kinds.split('|').any(|kind| kind.trim() == "layer_norm");
            embeddings =
                Some(if is_normed { self.norm(writer, &table, "encoder.LayerNorm")? } else { table });
        }
        let behind = writer.builder.distances(&writer.ids);
        let offset = writer.builder.index(self.positions() as i64 - 1);
        let rows = writer.builder.add(&behind, &offset);
        let numbers = [distances.ahead(), distances.behind()].map(|numbers| {
            let table = writer.builder.integers(&numbers);
            writer.builder.node("Gather", &[&table, &rows], vec![])
        });
        Ok(Shared { padding, distances: embeddings, numbers })
    }

    fn layer(&self, writer: &mut Writer<'_>, path: &str, x: &Value, shared: &Shared) -> Result<Value> {
        let settings = &self.settings;
        let name = |part: &str| format!("{path}.{part}");
        let queries = writer.by_head(x, &name(LAYER.queries), settings, ROWS)?;
        let keys = writer.by_head(x, &name(LAYER.keys), settings, ROWS)?;
        let values = writer.by_head(x, &name(LAYER.values), settings, ROWS)?;
        let transposed = writer.builder.transpose(&keys, &[0, 1, 3, 2]);
        let mut scores = writer.builder.node("MatMul", &[&queries, &transposed], vec![]);
        if let Some(distances) = &shared.distances {
            for part in [0, 1].into_iter().filter(|part| self.parts[*part]) {
                let content = if part == 0 { &queries } else { &keys };
                let embeddings = self.distance_heads(writer, path, part, distances)?;
                let by_distance =
                    self.by_distance(writer, content, &embeddings, &shared.numbers[part], &scores);
                let by_distance = match part {
                    0 => by_distance,
                    // A row for each key; rows of scores are queries.
                    _ => writer.builder.transpose(&by_distance, &[0, 1, 3, 2]),
                };
                scores = writer.builder.add(&scores, &by_distance);
            }
        }
        let terms = 1 + self.parts.iter().filter(|is_used| **is_used).count();
        let scores = writer.builder.scale(&scores, 1.0 / ((settings.head_width() * terms) as f32).sqrt());
        let scores = writer.builder.add(&scores, &shared.padding);
        let mixed = writer.builder.mixed(&scores, &values, self.width());
        writer.post_norm(path, &LAYER, settings, x, &mixed)
    }

    /// The embeddings of distances, as keys for queries (part 0) or as queries for keys: `[1, heads, head width, numbers]`.
    fn distance_heads(
        &self,
        writer: &mut Writer<'_>,
        path: &str,
        part: usize,
        distances: &Value,
    ) -> Result<Value> {
        let name = match (self.keys.share_att_key, part) {
            (true, 0) => LAYER.keys,
            (true, _) => LAYER.queries,
            (false, 0) => "attention.self.pos_key_proj",
            (false, _) => "attention.self.pos_query_proj",
        };
        let batch_of_one = writer.builder.unsqueeze(distances, &[0]);
        writer.by_head(&batch_of_one, &format!("{path}.{name}"), &self.settings, COLUMNS)
    }

    /// For each pair of tokens the product of the first one's content with the embedding of their distance: `[batch, heads,
    /// tokens, tokens]`, like `scores`.
    fn by_distance(
        &self,
        writer: &mut Writer<'_>,
        content: &Value,
        embeddings: &Value,
        numbers: &Value,
        scores: &Value,
    ) -> Value {
        let builder = &mut writer.builder;
        let products = builder.node("MatMul", &[content, embeddings], vec![]);
        let shape = builder.node("Shape", &[scores], vec![]);
        let numbers = builder.node("Expand", &[numbers, &shape], vec![]);
        builder.node("GatherElements", &[&products, &numbers], vec![integer("axis", 3)])
    }

    /// `norm(hidden + activation(conv(embedded)))`, without padding before and after.
    fn convolution(&self, writer: &mut Writer<'_>, embedded: &Value, hidden: &Value) -> Result<Value> {
        let (width, kernel) = (self.width(), self.keys.conv_kernel_size);
        let name = writer.inner("encoder.conv.conv");
        let weight =
            writer.constant(&format!("{name}.weight"), &[width, width / self.keys.conv_groups, kernel])?;
        let bias = writer.constant(&format!("{name}.bias"), &[width])?;
        let columns = writer.builder.transpose(embedded, &[0, 2, 1]);
        let attributes = self.convolution_attributes();
        let output = writer.builder.node("Conv", &[&columns, &weight, &bias], attributes);
        let output = writer.builder.transpose(&output, &[0, 2, 1]);
        let output = without_padding(writer, &output);
        let output = writer.builder.activation(&output, self.convolution_activation);
        let sum = writer.builder.add(hidden, &output);
        let normed = self.norm(writer, &sum, "encoder.conv.LayerNorm")?;
        Ok(without_padding(writer, &normed))
    }

    fn convolution_attributes(&self) -> Vec<AttributeProto> {
        let side = (self.keys.conv_kernel_size as i64 - 1) / 2;
        vec![integers("pads", &[side, side]), integer("group", self.keys.conv_groups as i64)]
    }
}

/// Hidden states that are zero at padding.
fn without_padding(writer: &mut Writer<'_>, x: &Value) -> Value {
    let mask = writer.builder.unsqueeze(&writer.mask, &[2]);
    writer.builder.node("Mul", &[x, &mask], vec![])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(changes: Value) -> String {
        let shape = crate::shape::EncoderShape { layers: 1, width: 16, heads: 2, feed_forward: 8 };
        let settings = EncoderSettings { shape, activation: Activation::Gelu, epsilon: 1e-7 };
        serde_json::from_value::<Keys>(changes).unwrap().encoder(settings, 9).err().unwrap()
    }

    #[test]
    fn settings_that_are_not_implemented_are_named() {
        for (changes, message) in [
            (json!({"attention_head_size": 4}), "`attention_head_size` is 4 but must be 8"),
            (json!({"pooler_hidden_size": 8}), "`pooler_hidden_size` is 8 but must be 16"),
            (json!({"pos_att_type": ["p2p"]}), "`pos_att_type` names `p2p`"),
            (json!({"pos_att_type": "c2p|p2p"}), "`pos_att_type` names `p2p`"),
            (json!({"conv_kernel_size": 4}), "`conv_kernel_size` is 4 but must be odd"),
            (json!({"conv_groups": 3}), "cannot be shared by 3 `conv_groups`"),
            (json!({"conv_act": "silu"}), "`conv_act` is `silu`"),
            (json!({"pooler_hidden_act": "silu"}), "`pooler_hidden_act` is `silu`"),
            (json!({"max_position_embeddings": 0}), "`max_position_embeddings` is 0"),
            (json!({"position_buckets": 1}), "`position_buckets` is 1"),
            (json!({"position_buckets": 8, "max_relative_positions": 5}), "must be more than 5"),
            (json!({"max_relative_positions": 1_i64 << 40}), "`max_relative_positions` is 1099511627776"),
        ] {
            let problem = problem(changes);
            assert!(problem.contains(message), "{problem}");
        }
    }
}
