//! Families that our network computes. They differ in the names of their tensors and in a few details, all of which
//! are in the table here.
//!
//! BERT (Devlin et al., 2019), RoBERTa (Liu et al., 2019), XLM-R (Conneau et al., 2020), CamemBERT (Martin et al.,
//! 2020), DistilBERT (Sanh et al., 2019), ELECTRA (Clark et al., 2020), ERNIE 2.0 and 3.0 (Sun et al., 2020 and 2021),
//! ALBERT (Lan et al., 2020), Megatron-BERT (Shoeybi et al., 2019).

use serde::Deserialize;

use super::{Family, Kind, WORDS};
use crate::architecture::Activation;
use crate::import::config::Defaults;

/// What distinguishes a family from the others. Names are those after the prefix of the encoder.
#[derive(Clone, Copy)]
pub(in crate::import) struct Layout {
    /// Where the layers are, and how their parts are called.
    pub(in crate::import) layers: LayerPlace,
    pub(in crate::import) layer: LayerNames,
    /// The row of the first position.
    pub(in crate::import) first_position: FirstPosition,
    /// The normalisation of the embeddings, if there is one.
    pub(in crate::import) embedding_norm: Option<&'static str>,
    /// The layer that brings the embeddings to the encoder's width, if there is one.
    pub(in crate::import) projection: Projection,
    /// The normalisation after the last layer. Where there is one, layers normalise their inputs.
    pub(in crate::import) final_norm: Option<&'static str>,
    /// The dense layer over the first token that comes with a pretrained encoder.
    pub(in crate::import) pretrained_pooler: Option<&'static str>,
    /// The function after the dense layer over the first token.
    pub(in crate::import) head_activation: Activation,
    pub(in crate::import) defaults: Defaults,
}

/// Which rows of the table of positions tokens have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum FirstPosition {
    Zero,
    /// The padding token's id plus one.
    AfterPadding,
}

/// A layer between the embeddings and the encoder.
#[derive(Clone, Copy)]
pub(in crate::import) enum Projection {
    None,
    IfWidthsDiffer(&'static str),
    Always(&'static str),
}

/// The place of the layer with a number.
#[derive(Clone, Copy)]
pub(in crate::import) enum LayerPlace {
    /// This path and the number.
    Numbered(&'static str),
    /// Groups of layers, each of which is run several times (ALBERT).
    Shared,
}

/// The names of a layer's parts.
#[derive(Clone, Copy)]
pub(in crate::import) struct LayerNames {
    pub(in crate::import) queries: &'static str,
    pub(in crate::import) keys: &'static str,
    pub(in crate::import) values: &'static str,
    pub(in crate::import) attention_output: &'static str,
    pub(in crate::import) attention_norm: &'static str,
    pub(in crate::import) expand: &'static str,
    pub(in crate::import) contract: &'static str,
    pub(in crate::import) feed_forward_norm: &'static str,
}

/// Keys of `config.json` that only some of these families have.
#[derive(Debug, Deserialize)]
pub(in crate::import) struct LayoutKeys {
    #[serde(default)]
    pub(in crate::import) pad_token_id: Option<usize>,
    /// ERNIE: whether there are embeddings of tasks.
    #[serde(default)]
    pub(in crate::import) use_task_id: bool,
    /// ALBERT: the number of groups of layers.
    #[serde(default = "one")]
    pub(in crate::import) num_hidden_groups: usize,
    /// ALBERT: the layers of a group.
    #[serde(default = "one")]
    pub(in crate::import) inner_group_num: usize,
}

fn one() -> usize {
    1
}

pub(in crate::import) const BERT_LAYER: LayerNames = LayerNames {
    queries: "attention.self.query",
    keys: "attention.self.key",
    values: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    expand: "intermediate.dense",
    contract: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

const DISTILBERT_LAYER: LayerNames = LayerNames {
    queries: "attention.q_lin",
    keys: "attention.k_lin",
    values: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    expand: "ffn.lin1",
    contract: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
};

const ALBERT_LAYER: LayerNames = LayerNames {
    queries: "attention.query",
    keys: "attention.key",
    values: "attention.value",
    attention_output: "attention.dense",
    attention_norm: "attention.LayerNorm",
    expand: "ffn",
    contract: "ffn_output",
    feed_forward_norm: "full_layer_layer_norm",
};

const BERT_LAYOUT: Layout = Layout {
    layers: LayerPlace::Numbered("encoder.layer"),
    layer: BERT_LAYER,
    first_position: FirstPosition::Zero,
    embedding_norm: Some("embeddings.LayerNorm"),
    projection: Projection::None,
    final_norm: None,
    // For the prediction of the next sentence.
    pretrained_pooler: Some("pooler.dense"),
    head_activation: Activation::Tanh,
    defaults: Defaults { activation: "gelu", epsilon: 1e-12 },
};

const ROBERTA_LAYOUT: Layout =
    Layout { first_position: FirstPosition::AfterPadding, pretrained_pooler: None, ..BERT_LAYOUT };

pub(super) const BERT: Family = Family {
    name: "bert",
    prefix: "bert.",
    tokens: WORDS,
    head: &["bert.pooler.dense", "classifier"],
    kind: Kind::Network(&BERT_LAYOUT),
};

pub(super) const ROBERTA: Family = Family {
    name: "roberta",
    prefix: "roberta.",
    tokens: WORDS,
    head: &["classifier.dense", "classifier.out_proj"],
    kind: Kind::Network(&ROBERTA_LAYOUT),
};

pub(super) const XLM_ROBERTA: Family = Family { name: "xlm-roberta", ..ROBERTA };

pub(super) const CAMEMBERT: Family = Family { name: "camembert", ..ROBERTA };

pub(super) const DISTILBERT: Family = Family {
    name: "distilbert",
    prefix: "distilbert.",
    tokens: WORDS,
    head: &["pre_classifier", "classifier"],
    kind: Kind::Network(&Layout {
        layers: LayerPlace::Numbered("transformer.layer"),
        layer: DISTILBERT_LAYER,
        pretrained_pooler: None,
        head_activation: Activation::Relu,
        ..BERT_LAYOUT
    }),
};

pub(super) const ELECTRA: Family = Family {
    name: "electra",
    prefix: "electra.",
    tokens: WORDS,
    head: &["classifier.dense", "classifier.out_proj"],
    kind: Kind::Network(&Layout {
        projection: Projection::IfWidthsDiffer("embeddings_project"),
        pretrained_pooler: None,
        head_activation: Activation::Gelu,
        ..BERT_LAYOUT
    }),
};

pub(super) const ERNIE: Family =
    Family { name: "ernie", prefix: "ernie.", head: &["ernie.pooler.dense", "classifier"], ..BERT };

pub(super) const ALBERT: Family = Family {
    name: "albert",
    prefix: "albert.",
    tokens: WORDS,
    head: &["albert.pooler", "classifier"],
    kind: Kind::Network(&Layout {
        layers: LayerPlace::Shared,
        layer: ALBERT_LAYER,
        projection: Projection::Always("encoder.embedding_hidden_mapping_in"),
        pretrained_pooler: Some("pooler"),
        defaults: Defaults { activation: "gelu_new", ..BERT_LAYOUT.defaults },
        ..BERT_LAYOUT
    }),
};

pub(super) const MEGATRON_BERT: Family = Family {
    name: "megatron-bert",
    kind: Kind::Network(&Layout {
        layer: LayerNames { attention_norm: "attention.ln", feed_forward_norm: "ln", ..BERT_LAYER },
        embedding_norm: None,
        final_norm: Some("encoder.ln"),
        ..BERT_LAYOUT
    }),
    ..BERT
};

impl LayerPlace {
    /// The path of the layer with this number among `layers`, after the prefix of the encoder.
    pub(in crate::import) fn path(self, number: usize, layers: usize, keys: &LayoutKeys) -> String {
        match self {
            Self::Numbered(path) => format!("{path}.{number}"),
            Self::Shared => {
                let inner = number % keys.inner_group_num;
                // The number of the run of a group, among all runs.
                let (run, runs) = (number / keys.inner_group_num, layers / keys.inner_group_num);
                let group = run * keys.num_hidden_groups / runs;
                format!("encoder.albert_layer_groups.{group}.albert_layers.{inner}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `transformers` runs `int(i / (num_hidden_layers / num_hidden_groups))` for each `i`, and in it all inner layers.
    #[test]
    fn albert_runs_each_group_of_layers_several_times() {
        let keys = |num_hidden_groups, inner_group_num| LayoutKeys {
            pad_token_id: None,
            use_task_id: false,
            num_hidden_groups,
            inner_group_num,
        };
        let places = |layers: usize, keys: &LayoutKeys| -> Vec<String> {
            let path = |number| LayerPlace::Shared.path(number, layers, keys);
            let short =
                |path: String| path.replace("encoder.albert_layer_groups.", "").replace("albert_layers.", "");
            (0..layers).map(path).map(short).collect()
        };
        assert_eq!(places(3, &keys(1, 1)), ["0.0", "0.0", "0.0"]);
        assert_eq!(places(4, &keys(2, 1)), ["0.0", "0.0", "1.0", "1.0"]);
        assert_eq!(places(6, &keys(3, 2)), ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]);
        assert_eq!(places(6, &keys(2, 2)), ["0.0", "0.1", "0.0", "0.1", "1.0", "1.1"]);
    }
}
