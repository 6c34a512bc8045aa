//! The output of a graph as single-precision floats.
//!
//! Contract: every value of half precision is exactly one of single precision, so nothing is lost here; what
//! overflowed in the graph is infinite here, too.

use half::{bf16, f16};
use ort::value::{DynValue, TensorElementType};

/// Types of logits. Graphs that were converted to half precision usually have outputs of it, too.
pub(super) const TYPES: [TensorElementType; 3] =
    [TensorElementType::Float32, TensorElementType::Float16, TensorElementType::Bfloat16];

/// Shape and values of a tensor of one of the [`TYPES`].
pub(super) fn floats(value: &DynValue) -> ort::Result<(Vec<i64>, Vec<f32>)> {
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => {
            let (shape, values) = value.try_extract_tensor::<f16>()?;
            Ok((shape.to_vec(), values.iter().map(|value| value.to_f32()).collect()))
        }
        Some(TensorElementType::Bfloat16) => {
            let (shape, values) = value.try_extract_tensor::<bf16>()?;
            Ok((shape.to_vec(), values.iter().map(|value| value.to_f32()).collect()))
        }
        _ => {
            let (shape, values) = value.try_extract_tensor::<f32>()?;
            Ok((shape.to_vec(), values.to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batcher::TokenBatch;
    use crate::device::Device;
    use crate::session::Session;
    use crate::session::graphs::TestGraph;

    fn open(graph: &TestGraph) -> Session {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph.onnx");
        graph.save(&path);
        Session::open(&path, 1, Device::Cpu).unwrap()
    }

    #[test]
    fn logits_of_half_precision_are_those_of_single_precision_up_to_rounding() {
        let batch = TokenBatch {
            rows: 2,
            tokens: 4,
            input_ids: vec![5, 9, 63, 7, 1, 2, 3, 4],
            attention_mask: vec![1, 1, 1, 0, 1, 1, 1, 1],
        };
        let exact = open(&TestGraph { labels: 3, ..TestGraph::default() }).run(&batch).unwrap();
        let half = |values: &[f32]| values.iter().map(|value| f16::from_f32(*value).to_f32()).collect();
        let brain = |values: &[f32]| values.iter().map(|value| bf16::from_f32(*value).to_f32()).collect();
        let cases: [(_, Vec<f32>); 2] = [
            (TensorElementType::Float16, half(&exact.values)),
            (TensorElementType::Bfloat16, brain(&exact.values)),
        ];
        for (output_type, rounded) in cases {
            let graph = TestGraph { labels: 3, output_type, ..TestGraph::default() };
            let logits = open(&graph).run(&batch).unwrap();
            assert_eq!((logits.rows, logits.labels), (2, 3));
            assert_eq!(logits.values, rounded, "{output_type}");
            assert_ne!(logits.values, exact.values, "{output_type}");
        }
    }

    #[test]
    fn an_overflow_of_half_precision_is_an_error_and_no_score() {
        let graph = TestGraph { scale: 1e6, output_type: TensorElementType::Float16, ..TestGraph::default() };
        let batch = TokenBatch { rows: 1, tokens: 2, input_ids: vec![5, 9], attention_mask: vec![1, 1] };
        let error = open(&graph).run(&batch).unwrap_err().to_string();
        assert!(error.contains("of row 0 is inf") || error.contains("of row 0 is -inf"), "{error}");
    }
}
