//! Small ONNX graphs for tests, built and saved by ONNX Runtime itself.

use std::path::Path;

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::operator::Attribute;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, Shape, SymbolicDimensions, Tensor, TensorElementType, ValueType};

use super::{ATTENTION_MASK, INPUT_IDS, LOGITS, TOKEN_TYPE_IDS};
use crate::runtime;

const WIDTH: usize = 48;
const VOCABULARY: usize = 64;

/// A classifier that averages token embeddings; its fields are what tests vary.
pub(crate) struct TestGraph {
    pub(crate) inputs: Vec<&'static str>,
    pub(crate) input_type: TensorElementType,
    pub(crate) output: &'static str,
    pub(crate) output_type: TensorElementType,
    /// A factor of the weights of the head.
    pub(crate) scale: f32,
    pub(crate) labels: usize,
}

impl Default for TestGraph {
    fn default() -> Self {
        let inputs = vec![INPUT_IDS, ATTENTION_MASK];
        Self {
            inputs,
            input_type: TensorElementType::Int64,
            output: LOGITS,
            output_type: TensorElementType::Float32,
            scale: 1.0,
            labels: 2,
        }
    }
}

impl TestGraph {
    pub(crate) fn save(&self, path: &Path) {
        self.try_save(path).unwrap();
    }

    fn try_save(&self, path: &Path) -> ort::Result<()> {
        let environment = runtime::load(None).unwrap().environment();
        let mut graph = Graph::new()?;
        let outlet = |name, element| Outlet::new(name, matrix_of(element));
        graph.set_inputs(self.inputs.iter().map(|name| outlet(*name, self.input_type)))?;
        graph.set_outputs([outlet(self.output, self.output_type)])?;
        let weights = |rows: usize, columns: usize, scale: f32| {
            let values: Vec<f32> =
                (0..rows * columns).map(|index| scale * (index as f32 * 0.7).sin()).collect();
            Tensor::from_array(([rows, columns], values))
        };
        let axis = |axis: i64| Tensor::from_array(([1], vec![axis]));
        // Cloned, since an initializer's memory must be ONNX Runtime's own.
        graph.add_initializer("embeddings", weights(VOCABULARY, WIDTH, 1.0)?.clone(), false)?;
        graph.add_initializer("head", weights(WIDTH, self.labels, self.scale)?.clone(), false)?;
        graph.add_initializer("axis_tokens", axis(1)?.clone(), false)?;
        graph.add_initializer("axis_width", axis(2)?.clone(), false)?;
        for node in self.nodes()? {
            graph.add_node(node)?;
        }
        let mut model = Model::new([Opset::new(ONNX_DOMAIN, 17)?])?;
        model.set_graph(graph)?;
        let options = SessionBuilder::new(environment)?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_optimized_model_path(path)?;
        model.into_session(&options).map(drop)
    }

    fn nodes(&self) -> ort::Result<Vec<Node>> {
        let has_token_types = self.inputs.contains(&TOKEN_TYPE_IDS);
        let ids = if self.inputs.contains(&INPUT_IDS) { INPUT_IDS } else { self.inputs[0] };
        let types = if has_token_types { TOKEN_TYPE_IDS } else { ids };
        let integers_to_floats = Attribute::new("to", 1i64)?;
        let to_output = Attribute::new("to", onnx_type(self.output_type))?;
        let node = |operator: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>| {
            Node::new(operator, ONNX_DOMAIN, output, inputs, [output], attributes)
        };
        Ok(vec![
            node("Gather", &["embeddings", ids], "tokens", vec![])?,
            node("Gather", &["embeddings", types], "types", vec![])?,
            node("Add", &["tokens", "types"], "sums", vec![])?,
            node("Cast", &[self.inputs[1]], "mask", vec![integers_to_floats])?,
            node("Unsqueeze", &["mask", "axis_width"], "column_mask", vec![])?,
            node("Mul", &["sums", "column_mask"], "masked", vec![])?,
            node("ReduceSum", &["masked", "axis_tokens"], "total", vec![Attribute::new("keepdims", 0i64)?])?,
            node("ReduceSum", &["mask", "axis_tokens"], "count", vec![])?,
            node("Div", &["total", "count"], "mean", vec![])?,
            node("MatMul", &["mean", "head"], "scores_f32", vec![])?,
            node("Cast", &["scores_f32"], self.output, vec![to_output])?,
        ])
    }
}

/// The value of `TensorProto.DataType`.
fn onnx_type(ty: TensorElementType) -> i64 {
    match ty {
        TensorElementType::Float16 => 10,
        TensorElementType::Bfloat16 => 16,
        TensorElementType::Int32 => 6,
        _ => 1,
    }
}

fn matrix_of(ty: TensorElementType) -> ValueType {
    ValueType::Tensor { ty, shape: Shape::new([-1, -1]), dimension_symbols: SymbolicDimensions::empty(2) }
}
