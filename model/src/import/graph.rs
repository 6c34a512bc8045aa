//! The weights of an ONNX file: how many there are, and in which files they are stored.
//!
//! Their values are not copied while parsing: they are slices of the bytes that were read.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::error::{ModelError, Result};
use crate::onnx::{EXTERNAL, ModelProto, TensorProto};

/// The values of `TensorProto.DataType` for weights: float, uint8, int8, float16, double, bfloat16. Integers
/// of other widths are shapes and axes.
const WEIGHTS: [i32; 6] = [1, 2, 3, 10, 11, 16];

/// The tensors of a graph.
#[derive(Debug)]
pub(super) struct Graph(Vec<TensorProto>);

impl Graph {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        let model = ModelProto::decode(Bytes::from(bytes));
        let model =
            model.map_err(|error| ModelError::import(path, format!("it is not an ONNX file: {error}")))?;
        Ok(Self(model.graph.map(|graph| graph.initializer).unwrap_or_default()))
    }

    /// External files with weights, relative to the graph's directory.
    pub(super) fn external_files(&self) -> BTreeSet<String> {
        let external = self.0.iter().filter(|tensor| tensor.data_location == EXTERNAL);
        let entries = external.flat_map(|tensor| &tensor.external_data);
        entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect()
    }

    /// The number of weights.
    pub(super) fn parameters(&self) -> u64 {
        let weights = self.0.iter().filter(|tensor| WEIGHTS.contains(&tensor.data_type));
        weights.map(|tensor| tensor.dims.iter().map(|size| size.unsigned_abs()).product::<u64>()).sum()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::onnx::{GraphProto, StringStringEntryProto};

    /// An ONNX file with only a tensor of two floats, which are stored in the file `location`.
    pub(in crate::import) fn external_tensor(location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let tensor = TensorProto {
            dims: vec![2],
            data_type: 1,
            name: "elsewhere".to_owned(),
            external_data: vec![entry("location", location), entry("offset", "0"), entry("length", "8")],
            data_location: EXTERNAL,
            ..TensorProto::default()
        };
        let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn external_tensors_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.onnx");
        std::fs::write(&path, external_tensor("a/b.bin")).unwrap();
        let graph = Graph::read(&path).unwrap();
        assert_eq!(graph.external_files().into_iter().collect::<Vec<_>>(), ["a/b.bin"]);
        assert_eq!(graph.parameters(), 2);
        std::fs::write(&path, "no graph").unwrap();
        assert!(Graph::read(&path).unwrap_err().to_string().contains("it is not an ONNX file"));
    }
}
