//! The graph of a sentence encoder: one vector for each text, and classifiers over the vectors.
//!
//! Contract: `features` is what sentence-transformers gives for the same checkpoint and settings, up to rounding. The
//! classifiers are constants of the graph, so that a text passes through the encoder once for all of them.

use fenliu_model::onnx::ModelProto;

use super::features::{EncoderGraph, FeaturePooling};
use super::graph::{Axis, GraphBuilder, Value};
use crate::frozen::{LinearHead, NamesHead};

/// The classifiers over the vectors; at least one of them is there.
pub(crate) struct Heads<'a> {
    pub(crate) labels: usize,
    pub(crate) learnt: Option<&'a LinearHead>,
    pub(crate) names: Option<&'a NamesHead>,
    /// Whether the logits of the class names are an output of their own, `zero_shot`, or are added to `logits`.
    pub(crate) names_apart: bool,
}

/// A graph from token ids to vectors, to be continued. Copies share the weights.
#[derive(Clone)]
pub(crate) struct SentenceGraph {
    builder: GraphBuilder,
    features: Value,
    width: usize,
}

impl SentenceGraph {
    /// An encoder, and how the vector of a text is made from its hidden states.
    pub(crate) fn new(mut encoder: EncoderGraph, pooling: FeaturePooling) -> Self {
        let features = encoder.pooled(pooling);
        Self { builder: encoder.builder, features, width: encoder.width }
    }

    /// Length of a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// A model whose output is the vectors. It is called `logits`, because that is what a session returns.
    pub(crate) fn features(mut self) -> ModelProto {
        let axes = [Axis::Named("batch"), Axis::Fixed(self.width)];
        self.builder.output("logits", &self.features, &axes);
        self.builder.build("fenliu-sentence-encoder")
    }

    /// A model whose outputs are the logits of classifiers.
    pub(crate) fn classifier(mut self, heads: &Heads<'_>) -> ModelProto {
        let axes = || [Axis::Named("batch"), Axis::Fixed(heads.labels)];
        let learnt = heads.learnt.map(|head| self.learnt(head, heads.labels));
        let names = heads.names.map(|head| self.names(head, heads.labels));
        let logits = match (learnt, names) {
            (Some(learnt), Some(names)) if heads.names_apart => {
                self.builder.output("zero_shot", &names, &axes());
                learnt
            }
            (Some(learnt), Some(names)) => self.builder.node("Add", &[&learnt, &names], vec![]),
            (Some(logits), None) | (None, Some(logits)) => logits,
            (None, None) => self.features.clone(),
        };
        self.builder.output("logits", &logits, &axes());
        self.builder.build("fenliu-sentence-classifier")
    }

    fn learnt(&mut self, head: &LinearHead, labels: usize) -> Value {
        let weight = self.builder.floats("learnt.weight", &[self.width, labels], &head.weight);
        let bias = self.builder.floats("learnt.bias", &[labels], &head.bias);
        let product = self.builder.node("MatMul", &[&self.features, &weight], vec![]);
        self.builder.node("Add", &[&product, &bias], vec![])
    }

    fn names(&mut self, head: &NamesHead, labels: usize) -> Value {
        let centre = self.builder.floats("names.centre", &[self.width], &head.centre);
        let directions = self.builder.floats("names.directions", &[self.width, labels], &head.directions);
        let difference = self.builder.node("Sub", &[&self.features, &centre], vec![]);
        let difference = self.builder.unit_length(&difference);
        self.builder.node("MatMul", &[&difference, &directions], vec![])
    }
}
