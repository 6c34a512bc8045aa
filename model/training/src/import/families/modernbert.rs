//! ModernBERT (Warner et al., 2024): rotated queries and keys, attention to near tokens only in most layers, a gated
//! feed-forward part, normalisation of inputs, few biases.

use std::collections::BTreeMap;

use fenliu_model::Result;
use serde::Deserialize;

use super::{Family, Kind};
use crate::architecture::Activation;
use crate::import::config::{Config, activation, check_positions};
use crate::import::served::{Bias, Encoder, Pairs, Rotary, Writer, angles};
use crate::onnx::{PADDING_SCORE, ROWS, Value, integer};
use crate::shape::EncoderShape;

pub(super) const FAMILY: Family = Family {
    name: "modernbert",
    prefix: "model.",
    tokens: TOKENS,
    head: &["head.dense", "head.norm", "classifier"],
    kind: Kind::Graph(read),
};

const TOKENS: &str = "embeddings.tok_embeddings.weight";

/// The keys that are used; defaults are those of `ModernBertConfig`.
#[derive(Debug, Deserialize)]
struct Keys {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "gelu")]
    hidden_activation: String,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "epsilon")]
    norm_eps: f32,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "window")]
    local_attention: usize,
    #[serde(default)]
    layer_types: Option<Vec<Reach>>,
    #[serde(default = "global_every")]
    global_attn_every_n_layers: usize,
    #[serde(default)]
    rope_parameters: Option<BTreeMap<String, Option<Rope>>>,
    #[serde(default)]
    rope_scaling: Option<serde_json::Value>,
    #[serde(default)]
    global_rope_theta: Option<f32>,
    #[serde(default)]
    local_rope_theta: Option<f32>,
    #[serde(default)]
    classifier_pooling: ClassifierPooling,
    #[serde(default = "gelu")]
    classifier_activation: String,
    #[serde(default)]
    classifier_bias: bool,
}

/// Which tokens a layer's attention reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Reach {
    #[serde(rename = "full_attention")]
    All,
    #[serde(rename = "sliding_attention")]
    Near,
}

/// What the head reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClassifierPooling {
    #[default]
    Cls,
    Mean,
}

#[derive(Debug, Deserialize)]
struct Rope {
    #[serde(default)]
    rope_type: Option<String>,
    #[serde(default)]
    rope_theta: Option<f32>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn positions() -> usize {
    8192
}

fn epsilon() -> f32 {
    1e-5
}

fn window() -> usize {
    128
}

fn global_every() -> usize {
    3
}

struct ModernBert {
    shape: EncoderShape,
    activation: Activation,
    /// Rows of the table of tokens.
    tokens: usize,
    positions: usize,
    epsilon: f32,
    norm_bias: Bias,
    attention_bias: Bias,
    feed_forward_bias: Bias,
    /// For each layer.
    reaches: Vec<Reach>,
    /// The largest distance that near tokens have.
    nearness: usize,
    /// The base of the rotation's angles, in layers that reach all and near tokens.
    bases: [f32; 2],
    pooling: ClassifierPooling,
    head_activation: Activation,
    head_bias: Bias,
}

/// What layers of one reach have in common.
struct Attention {
    rotary: Rotary,
    bias: Value,
}

fn read(config: &Config, tokens: usize) -> Result<Box<dyn Encoder>> {
    let keys: Keys = config.keys()?;
    match keys.encoder(tokens) {
        Ok(encoder) => Ok(Box::new(encoder)),
        Err(problem) => Err(config.refuse(&problem)),
    }
}

impl Keys {
    fn encoder(&self, tokens: usize) -> Result<ModernBert, String> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if heads == 0 || width == 0 || !width.is_multiple_of(2 * heads) {
            return Err(format!(
                "a width of {width} cannot be shared by {heads} attention heads of even width"
            ));
        }
        Ok(ModernBert {
            shape: EncoderShape {
                layers: self.num_hidden_layers,
                width,
                heads,
                feed_forward: self.intermediate_size,
            },
            activation: activation("hidden_activation", &self.hidden_activation)?,
            tokens,
            positions: check_positions("max_position_embeddings", self.max_position_embeddings)?,
            epsilon: self.norm_eps,
            norm_bias: self.norm_bias.into(),
            attention_bias: self.attention_bias.into(),
            feed_forward_bias: self.mlp_bias.into(),
            reaches: self.reaches()?,
            nearness: self.local_attention / 2,
            bases: [
                self.base("full_attention", self.global_rope_theta.unwrap_or(160_000.0))?,
                self.base("sliding_attention", self.local_rope_theta.unwrap_or(10_000.0))?,
            ],
            pooling: self.classifier_pooling,
            head_activation: activation("classifier_activation", &self.classifier_activation)?,
            head_bias: self.classifier_bias.into(),
        })
    }

    /// The reach of each layer.
    fn reaches(&self) -> Result<Vec<Reach>, String> {
        let layers = self.num_hidden_layers;
        match &self.layer_types {
            Some(types) if types.len() == layers => Ok(types.clone()),
            Some(types) => {
                Err(format!("`layer_types` names {} layers but `num_hidden_layers` is {layers}", types.len()))
            }
            None if self.global_attn_every_n_layers == 0 => {
                Err("`global_attn_every_n_layers` is 0 but must be at least 1".to_owned())
            }
            None => {
                let is_near = |number: usize| !number.is_multiple_of(self.global_attn_every_n_layers);
                let reach = |number| if is_near(number) { Reach::Near } else { Reach::All };
                Ok((0..layers).map(reach).collect())
            }
        }
    }

    /// The base of angles in layers of a kind.
    fn base(&self, kind: &str, default: f32) -> Result<f32, String> {
        if self.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return Err("`rope_scaling` is not implemented here".to_owned());
        }
        let rope = self.rope_parameters.as_ref().and_then(|all| all.get(kind)).and_then(Option::as_ref);
        let Some(Rope { rope_type, rope_theta }) = rope else { return Ok(default) };
        match rope_type.as_deref() {
            None | Some("default") => Ok(rope_theta.unwrap_or(default)),
            Some(other) => {
                Err(format!("`rope_parameters.{kind}.rope_type` is `{other}` but must be `default`"))
            }
        }
    }
}

impl Encoder for ModernBert {
    fn width(&self) -> usize {
        self.shape.width
    }

    fn positions(&self) -> usize {
        self.positions
    }

    fn hidden(&self, writer: &mut Writer<'_>) -> Result<Value> {
        let words = writer.token_rows(&writer.inner(TOKENS), self.tokens, self.width())?;
        let mut hidden = self.norm(writer, &words, "embeddings.norm")?;
        let padding = writer.builder.padding_bias(&writer.mask);
        let near = self.near_bias(writer);
        let near = writer.builder.add(&padding, &near);
        let all = self.attention_of(writer, "all", self.bases[0], padding);
        let near = self.attention_of(writer, "near", self.bases[1], near);
        for (number, reach) in self.reaches.iter().enumerate() {
            let attention = if *reach == Reach::All { &all } else { &near };
            hidden = self.layer(writer, number, &hidden, attention)?;
        }
        self.norm(writer, &hidden, "final_norm")
    }

    fn head(&self, writer: &mut Writer<'_>, hidden: &Value, labels: usize) -> Result<Value> {
        let width = self.width();
        let pooled = match self.pooling {
            ClassifierPooling::Cls => writer.builder.first_token(hidden),
            ClassifierPooling::Mean => {
                let lengths = writer.builder.lengths(&writer.mask);
                writer.builder.mean(hidden, &writer.mask, &lengths)
            }
        };
        let [dense, norm, classifier] = [0, 1, 2].map(|layer| FAMILY.head[layer]);
        let pooled = writer.linear(&pooled, dense, [width, width], self.head_bias)?;
        let pooled = writer.builder.activation(&pooled, self.head_activation);
        let pooled = writer.norm(&pooled, norm, width, self.epsilon, self.norm_bias)?;
        writer.linear(&pooled, classifier, [width, labels], Bias::With)
    }
}

impl ModernBert {
    fn norm(&self, writer: &mut Writer<'_>, x: &Value, name: &str) -> Result<Value> {
        let name = writer.inner(name);
        writer.norm(x, &name, self.width(), self.epsilon, self.norm_bias)
    }

    /// A bias of 0 for pairs of near tokens and of [`PADDING_SCORE`] for others: `[tokens, tokens]`.
    fn near_bias(&self, writer: &mut Writer<'_>) -> Value {
        let (builder, ids) = (&mut writer.builder, &writer.ids);
        let distance = builder.distances(ids);
        let distance = builder.node("Abs", &[&distance], vec![]);
        let nearness = builder.index(self.nearness as i64);
        let is_far = builder.node("Greater", &[&distance, &nearness], vec![]);
        let (far, near) = (builder.scalar(PADDING_SCORE), builder.scalar(0.0));
        builder.node("Where", &[&is_far, &far, &near], vec![])
    }

    fn attention_of(&self, writer: &mut Writer<'_>, name: &str, base: f32, bias: Value) -> Attention {
        let head_width = self.width() / self.shape.heads;
        let angles = angles(self.positions, head_width, base);
        let of =
            |function: fn(f32) -> f32| -> Vec<f32> { angles.iter().map(|angle| function(*angle)).collect() };
        let (sines, cosines) = (of(f32::sin), of(f32::cos));
        let (builder, ids) = (&mut writer.builder, &writer.ids);
        let rotary = Rotary::add(builder, ids, name, Pairs::Halves, head_width, [&sines, &cosines]);
        Attention { rotary, bias }
    }

    fn layer(
        &self,
        writer: &mut Writer<'_>,
        number: usize,
        x: &Value,
        attention: &Attention,
    ) -> Result<Value> {
        let name = |part: &str| format!("layers.{number}.{part}");
        // The embeddings are normalised already.
        let normed = if number == 0 { x.clone() } else { self.norm(writer, x, &name("attn_norm"))? };
        let mixed = self.mixed(writer, &name("attn"), &normed, attention)?;
        let x = writer.builder.add(x, &mixed);
        let normed = self.norm(writer, &x, &name("mlp_norm"))?;
        let output = self.feed_forward(writer, &name("mlp"), &normed)?;
        Ok(writer.builder.add(&x, &output))
    }

    fn mixed(&self, writer: &mut Writer<'_>, name: &str, x: &Value, attention: &Attention) -> Result<Value> {
        let (width, heads) = (self.width(), self.shape.heads);
        let [projection, output] = ["Wqkv", "Wo"].map(|part| writer.inner(&format!("{name}.{part}")));
        let packed = writer.linear(x, &projection, [width, 3 * width], self.attention_bias)?;
        let builder = &mut writer.builder;
        let sizes = builder.integers(&[width as i64; 3]);
        let parts = builder.nodes("Split", &[&packed, &sizes], vec![integer("axis", 2)], 3);
        let head_width = width / heads;
        let mut by_head = |part: usize| builder.split_heads(&parts[part], heads, head_width, ROWS);
        let (queries, keys, values) = (by_head(0), by_head(1), by_head(2));
        let queries = attention.rotary.rotate(builder, &queries);
        let keys = attention.rotary.rotate(builder, &keys);
        let keys = builder.transpose(&keys, &[0, 1, 3, 2]);
        let scale = 1.0 / (head_width as f32).sqrt();
        let scores = builder.scores(&queries, &keys, scale, &[&attention.bias]);
        let mixed = builder.mixed(&scores, &values, width);
        writer.linear(&mixed, &output, [width, width], self.attention_bias)
    }

    /// `W (activation(a) * b)`, where `a` and `b` are the halves of `V x` (GEGLU; Shazeer, 2020).
    fn feed_forward(&self, writer: &mut Writer<'_>, name: &str, x: &Value) -> Result<Value> {
        let (width, inner) = (self.width(), self.shape.feed_forward);
        let [expand, contract] = ["Wi", "Wo"].map(|part| writer.inner(&format!("{name}.{part}")));
        let both = writer.linear(x, &expand, [width, 2 * inner], self.feed_forward_bias)?;
        let builder = &mut writer.builder;
        let sizes = builder.integers(&[inner as i64; 2]);
        let halves = builder.nodes("Split", &[&both, &sizes], vec![integer("axis", 2)], 2);
        let activated = builder.activation(&halves[0], self.activation);
        let gated = builder.node("Mul", &[&activated, &halves[1]], vec![]);
        writer.linear(&gated, &contract, [inner, width], self.feed_forward_bias)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(changes: &Value) -> Keys {
        let mut keys = json!({"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 24});
        keys.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(keys).unwrap()
    }

    #[test]
    fn files_of_earlier_releases_say_the_same_in_other_keys() {
        use Reach::{All, Near};
        let plain = keys(&json!({})).encoder(9).unwrap();
        assert_eq!((&plain.reaches[..], plain.bases), (&[All, Near, Near, All][..], [160_000.0, 10_000.0]));
        assert_eq!((plain.nearness, plain.positions), (64, 8192));
        let old = json!({"global_attn_every_n_layers": 2, "global_rope_theta": 7.0, "local_rope_theta": 3.0});
        let old = keys(&old).encoder(9).unwrap();
        assert_eq!((&old.reaches[..], old.bases), (&[All, Near, All, Near][..], [7.0, 3.0]));
        let types = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"];
        let rope =
            json!({"full_attention": {"rope_type": "default", "rope_theta": 5.0}, "sliding_attention": null});
        let new = keys(&json!({"layer_types": types, "rope_parameters": rope})).encoder(9).unwrap();
        assert_eq!((&new.reaches[..], new.bases), (&[Near, All, All, Near][..], [5.0, 10_000.0]));
    }

    #[test]
    fn settings_that_are_not_implemented_are_named() {
        let yarn = json!({"full_attention": {"rope_type": "yarn", "rope_theta": 5.0}});
        for (changes, message) in [
            (json!({"rope_parameters": yarn}), "`rope_parameters.full_attention.rope_type` is `yarn`"),
            (json!({"rope_scaling": {"type": "linear"}}), "`rope_scaling` is not implemented"),
            (json!({"hidden_activation": "silu"}), "`hidden_activation` is `silu`"),
            (json!({"layer_types": ["full_attention"]}), "names 1 layers but `num_hidden_layers` is 4"),
            (json!({"global_attn_every_n_layers": 0}), "`global_attn_every_n_layers` is 0"),
            (json!({"num_attention_heads": 3}), "cannot be shared by 3 attention heads"),
            (json!({"max_position_embeddings": 0}), "`max_position_embeddings` is 0"),
        ] {
            let problem = keys(&changes).encoder(9).err().unwrap();
            assert!(problem.contains(message), "{problem}");
        }
    }
}
