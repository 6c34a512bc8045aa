//! One ONNX classifier, opened with ONNX Runtime: padded token ids in, logits out.
//!
//! Contract of the graph: inputs `input_ids` and `attention_mask`, int64 `[batch, tokens]`, and
//! optionally `token_type_ids`, which is fed zeros; an output `logits`, float32, float16 or bfloat16
//! `[batch, labels]`, and optionally another one of the same kind, `zero_shot`; both axes of the inputs are dynamic. Not here: tokenising, batching and softmax.

use std::path::Path;

use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::SessionInputValue;
use ort::session::builder::SessionBuilder;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use crate::batcher::TokenBatch;
use crate::device::Device;
use crate::error::{ModelError, Result};
use crate::runtime;

mod floats;
#[cfg(test)]
pub(crate) mod graphs;

use floats::{TYPES, floats};

const INPUT_IDS: &str = "input_ids";
const ATTENTION_MASK: &str = "attention_mask";
const TOKEN_TYPE_IDS: &str = "token_type_ids";
const LOGITS: &str = "logits";
const ZERO_SHOT: &str = "zero_shot";

/// An open model. It runs one batch at a time; for more at once, open more sessions.
#[derive(Debug)]
pub struct Session {
    session: ort::session::Session,
    device: Device,
    has_token_types: bool,
    has_zero_shot: bool,
}

/// The scores of one batch, row-major `[rows, labels]`, before softmax.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// Rows of the batch, in its order.
    pub rows: usize,
    /// Number of labels.
    pub labels: usize,
    /// `rows` x `labels` values, which are finite if [`Session::run`] returned them.
    pub values: Vec<f32>,
    /// As many values of the output `zero_shot`; empty if the graph does not have it.
    pub zero_shot: Vec<f32>,
}

impl Session {
    /// Opens an ONNX file, to be run on `threads` threads of the CPU or on a CUDA device. Loads ONNX Runtime
    /// with the default search of [`runtime::load`] if the process has not loaded it yet.
    ///
    /// # Errors
    ///
    /// ONNX Runtime or the device is not available, the file is not a valid graph, or the graph's inputs and
    /// output violate the contract.
    pub fn open(onnx: &Path, threads: usize, device: Device) -> Result<Self> {
        if threads == 0 {
            return Err(ModelError::option("threads", threads, "must be at least 1"));
        }
        let failed = |problem: String| ModelError::Onnx { path: onnx.to_path_buf(), problem };
        let environment = runtime::load(None)?.environment();
        let open_on = |providers: Vec<ExecutionProviderDispatch>| {
            session_builder(environment, threads, providers)?.commit_from_file(onnx)
        };
        // Operators without a kernel for the GPU run on the CPU.
        let on_gpu = device.open("inference", || open_on(cuda().into_iter().chain([cpu()]).collect()))?;
        let device = if on_gpu.is_some() { Device::Cuda } else { Device::Cpu };
        let session =
            on_gpu.map_or_else(|| open_on(vec![cpu()]), Ok).map_err(|error| failed(error.to_string()))?;
        check_interface(session.inputs(), session.outputs()).map_err(failed)?;
        let has_token_types = session.inputs().iter().any(|input| input.name() == TOKEN_TYPE_IDS);
        let has_zero_shot = session.outputs().iter().any(|output| output.name() == ZERO_SHOT);
        Ok(Self { session, device, has_token_types, has_zero_shot })
    }

    /// The device that it actually runs on: CPU or CUDA.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Scores one batch.
    ///
    /// # Errors
    ///
    /// The batch is empty, ONNX Runtime fails on it, or a score is not a finite number; the error
    /// names the batch's shape.
    pub fn run(&mut self, batch: &TokenBatch) -> Result<Logits> {
        let logits = self.scores(batch)?;
        for values in [&logits.values, &logits.zero_shot] {
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                let (row, label) = (position / logits.labels, position % logits.labels);
                let problem = format!("logit {label} of row {row} is {}", values[position]);
                return Err(ModelError::Inference { rows: batch.rows, tokens: batch.tokens, problem });
            }
        }
        Ok(logits)
    }

    /// Scores one batch without checking the scores, which may be infinite or NaN.
    ///
    /// # Errors
    ///
    /// The batch is empty, or ONNX Runtime fails on it; the error names the batch's shape.
    pub fn scores(&mut self, batch: &TokenBatch) -> Result<Logits> {
        let failed =
            |problem: String| ModelError::Inference { rows: batch.rows, tokens: batch.tokens, problem };
        if batch.input_ids.is_empty() {
            return Err(failed("it holds no token".to_owned()));
        }
        let [(shape, values), (other, zero_shot)] =
            self.outputs(batch).map_err(|error| failed(error.to_string()))?;
        let labels = match shape[..] {
            [rows, labels] if rows == batch.rows as i64 && labels > 0 => labels as usize,
            _ => return Err(failed(format!("`{LOGITS}` came back in the shape {shape:?}"))),
        };
        if self.has_zero_shot && other != shape {
            return Err(failed(format!("`{ZERO_SHOT}` came back in the shape {other:?}")));
        }
        Ok(Logits { rows: batch.rows, labels, values, zero_shot })
    }

    /// Shape and values of `logits` and of `zero_shot`, which are empty if the graph has only the first.
    fn outputs(&mut self, batch: &TokenBatch) -> ort::Result<[(Vec<i64>, Vec<f32>); 2]> {
        let shape = [batch.rows, batch.tokens];
        // Texts are never pairs, so all tokens have type 0.
        let token_types = vec![0; if self.has_token_types { batch.input_ids.len() } else { 0 }];
        let mut inputs: Vec<(&str, SessionInputValue)> = vec![
            (INPUT_IDS, TensorRef::from_array_view((shape, batch.input_ids.as_slice()))?.into()),
            (ATTENTION_MASK, TensorRef::from_array_view((shape, batch.attention_mask.as_slice()))?.into()),
        ];
        if self.has_token_types {
            inputs.push((
                TOKEN_TYPE_IDS,
                TensorRef::<i64>::from_array_view((shape, token_types.as_slice()))?.into(),
            ));
        }
        let outputs = self.session.run(inputs)?;
        let zero_shot = self.has_zero_shot.then(|| floats(&outputs[ZERO_SHOT])).transpose()?;
        Ok([floats(&outputs[LOGITS])?, zero_shot.unwrap_or_default()])
    }
}

fn session_builder(
    environment: &Environment,
    threads: usize,
    providers: Vec<ExecutionProviderDispatch>,
) -> ort::Result<SessionBuilder> {
    let builder = ort::session::Session::builder(environment)?
        .with_intra_threads(threads)?
        // Spinning burns whole cores between batches, which cleaning and tokenising need.
        .with_intra_op_spinning(false)?
        // A memory pattern is a plan for one shape; here nearly every batch has another.
        .with_memory_pattern(false)?
        .with_execution_providers(providers)?;
    Ok(builder)
}

fn cpu() -> ExecutionProviderDispatch {
    // The arena must be asked for: naming the CPU provider without it turns it off.
    ep::CPU::default().with_arena_allocator(true).build().error_on_failure()
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<ExecutionProviderDispatch> {
    Some(ep::CUDA::default().with_device_id(0).build().error_on_failure())
}

/// Always `None`: in a build without the feature the CUDA provider does not exist, and [`Device::open`] never asks
/// for it.
#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<ExecutionProviderDispatch> {
    None
}

fn check_interface(inputs: &[Outlet], outputs: &[Outlet]) -> Result<(), String> {
    for required in [INPUT_IDS, ATTENTION_MASK] {
        if !inputs.iter().any(|input| input.name() == required) {
            return Err(format!("it has no input `{required}`, only {}", names(inputs)));
        }
    }
    for input in inputs {
        if ![INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS].contains(&input.name()) {
            return Err(format!(
                "it needs an input `{}`, which a text classifier has no value for",
                input.name()
            ));
        }
        check_type(input, &[TensorElementType::Int64])?;
    }
    let logits = outputs.iter().find(|output| output.name() == LOGITS);
    let logits = logits.ok_or_else(|| format!("it has no output `{LOGITS}`, only {}", names(outputs)))?;
    let zero_shot = outputs.iter().filter(|output| output.name() == ZERO_SHOT);
    zero_shot.chain([logits]).try_for_each(|output| check_type(output, &TYPES))
}

fn check_type(outlet: &Outlet, expected: &[TensorElementType]) -> Result<(), String> {
    match outlet.dtype() {
        // Exporters may leave the shape of an output out, which then reads as that of a scalar.
        ValueType::Tensor { ty, shape, .. } if expected.contains(ty) && [0, 2].contains(&shape.len()) => {
            Ok(())
        }
        other => {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let expected = expected.join(" or ");
            Err(format!("`{}` is {other} but must be a matrix of {expected}", outlet.name()))
        }
    }
}

fn names(outlets: &[Outlet]) -> String {
    outlets.iter().map(|outlet| format!("`{}`", outlet.name())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::graphs::TestGraph;
    use super::*;

    fn open(graph: &TestGraph) -> Result<Session> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph.onnx");
        graph.save(&path);
        Session::open(&path, 1, Device::Cpu)
    }

    fn batch(input_ids: Vec<i64>, attention_mask: Vec<i64>, rows: usize) -> TokenBatch {
        TokenBatch { rows, tokens: input_ids.len() / rows, input_ids, attention_mask }
    }

    #[test]
    fn padding_does_not_change_the_logits() {
        let mut session = open(&TestGraph { labels: 3, ..TestGraph::default() }).unwrap();
        let alone = session.run(&batch(vec![5, 9], vec![1, 1], 1)).unwrap();
        let padded =
            session.run(&batch(vec![5, 9, 7, 7, 1, 2, 3, 4], vec![1, 1, 0, 0, 1, 1, 1, 1], 2)).unwrap();
        assert_eq!((padded.rows, padded.labels, padded.values.len()), (2, 3, 6));
        for (left, right) in alone.values.iter().zip(&padded.values) {
            assert!((left - right).abs() < 1e-5, "{alone:?} {padded:?}");
        }
    }

    #[test]
    fn token_types_are_fed_as_zeros() {
        let inputs = vec![INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS];
        let mut session = open(&TestGraph { inputs, ..TestGraph::default() }).unwrap();
        // The graph adds the embedding of the type to that of the token, or else that of the token
        // once more: for token 0 it is the same.
        let with_types = session.run(&batch(vec![0, 0], vec![1, 1], 1)).unwrap();
        let without_types =
            open(&TestGraph::default()).unwrap().run(&batch(vec![0, 0], vec![1, 1], 1)).unwrap();
        assert_eq!(with_types, without_types);
    }

    #[test]
    fn a_failed_batch_is_named_by_its_shape() {
        let mut session = open(&TestGraph::default()).unwrap();
        for (batch, message) in [
            (batch(vec![1, 999], vec![1, 1], 1), "a batch of 1 rows x 2 tokens: Non-zero status code"),
            (batch(vec![1, 2], vec![1, 0], 2), "a batch of 2 rows x 1 tokens: logit 0 of row 1 is NaN"),
            (TokenBatch::pad(&[], 0), "a batch of 0 rows x 0 tokens: it holds no token"),
        ] {
            let error = session.run(&batch).unwrap_err().to_string();
            assert!(error.starts_with(&format!("inference failed on {message}")), "{error}");
        }
        assert!(
            session.run(&batch(vec![1, 2], vec![1, 1], 2)).is_ok(),
            "a failed batch must not affect the next one"
        );
    }

    #[test]
    fn a_graph_with_another_interface_is_refused() {
        let cases = [
            (
                TestGraph { inputs: vec!["ids", ATTENTION_MASK], ..TestGraph::default() },
                "no input `input_ids`, only `ids`",
            ),
            (
                TestGraph { inputs: vec![INPUT_IDS, ATTENTION_MASK, "bbox"], ..TestGraph::default() },
                "needs an input `bbox`",
            ),
            (TestGraph { output: "scores", ..TestGraph::default() }, "no output `logits`, only `scores`"),
            (
                TestGraph { input_type: TensorElementType::Int32, ..TestGraph::default() },
                "`input_ids` is Tensor<i32>(dyn, dyn) but must be a matrix of i64",
            ),
            (
                TestGraph { output_type: TensorElementType::Int32, ..TestGraph::default() },
                "`logits` is Tensor<i32>(dyn, 2) but must be a matrix of f32 or f16 or bf16",
            ),
        ];
        for (graph, message) in cases {
            let error = open(&graph).unwrap_err().to_string();
            assert!(
                error.contains("graph.onnx: ") && error.contains(message),
                "`{message}` is not in: {error}"
            );
        }
    }

    #[test]
    fn files_that_are_not_graphs_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph.onnx");
        for content in [None, Some("not a graph")] {
            content.inspect(|content| std::fs::write(&path, content).unwrap());
            let error = Session::open(&path, 1, Device::Cpu).unwrap_err().to_string();
            assert!(
                error.starts_with("cannot open ONNX model ") && error.contains("graph.onnx: "),
                "{error}"
            );
        }
        assert!(Session::open(&path, 0, Device::Cpu).unwrap_err().to_string().contains("`threads` is 0"));
    }
}
