//! A builder that adds nodes to a graph one by one.

use bytes::Bytes;
use fenliu_model::onnx::{
    AttributeProto, Dimension, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};

/// Standard operators as of ONNX 1.12: the first set with `LayerNormalization`.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// The name of a value in the graph.
pub(super) type Value = String;

/// An axis of an input or output.
pub(super) enum Axis {
    Fixed(usize),
    Named(&'static str),
}

/// A graph under construction.
#[derive(Clone, Default)]
pub(super) struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// Declares an int64 input.
    pub(super) fn input(&mut self, name: &str, axes: &[Axis]) -> Value {
        self.graph.input.push(value_info(name, INT64, axes));
        name.to_owned()
    }

    /// Declares `value` as a float output called `name`.
    pub(super) fn output(&mut self, name: &str, value: &Value, axes: &[Axis]) {
        let node = NodeProto {
            input: vec![value.clone()],
            output: vec![name.to_owned()],
            name: name.to_owned(),
            // Gives the value its public name; renaming it would mean to rename its producer and all users.
            op_type: "Identity".to_owned(),
            attribute: Vec::new(),
        };
        self.graph.node.push(node);
        self.graph.output.push(value_info(name, FLOAT, axes));
    }

    /// A constant of floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        // `raw_data` is little-endian by the specification, whatever the machine.
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.to_owned(), FLOAT, shape, raw)
    }

    /// A vector of integers, as a constant with a generated name.
    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = format!("integers_{}", self.graph.initializer.len());
        self.constant(name, INT64, &[values.len()], raw)
    }

    /// An integer without dimensions, as a constant with a generated name.
    pub(super) fn index(&mut self, value: i64) -> Value {
        let name = format!("index_{}", self.graph.initializer.len());
        self.constant(name, INT64, &[], value.to_le_bytes().to_vec())
    }

    /// A float without dimensions, as a constant with a generated name.
    pub(super) fn scalar(&mut self, value: f32) -> Value {
        let name = format!("scalar_{}", self.graph.initializer.len());
        self.constant(name, FLOAT, &[], value.to_le_bytes().to_vec())
    }

    fn constant(&mut self, name: String, data_type: i32, shape: &[usize], raw_data: Vec<u8>) -> Value {
        let dims = shape.iter().map(|size| *size as i64).collect();
        let raw_data = Bytes::from(raw_data);
        let tensor = TensorProto { dims, data_type, name: name.clone(), raw_data, ..Default::default() };
        self.graph.initializer.push(tensor);
        name
    }

    /// Adds a node with one output, which is returned.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        self.nodes(operator, inputs, attributes, 1).remove(0)
    }

    /// Adds a node with several outputs, which are returned.
    pub(super) fn nodes(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        outputs: usize,
    ) -> Vec<Value> {
        let name = format!("{operator}_{}", self.graph.node.len());
        let output: Vec<Value> = (0..outputs).map(|number| format!("{name}_{number}")).collect();
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|value| (*value).clone()).collect(),
            output: output.clone(),
            name,
            op_type: operator.to_owned(),
            attribute: attributes,
        });
        output
    }

    /// The finished file.
    pub(super) fn build(mut self, name: &str) -> ModelProto {
        name.clone_into(&mut self.graph.name);
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        }
    }
}

/// An integer attribute.
pub(super) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: value, r#type: 2, ..Default::default() }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: value, r#type: 1, ..Default::default() }
}

/// An attribute that is a list of integers.
pub(super) fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints: values.to_vec(), r#type: 7, ..Default::default() }
}

fn value_info(name: &str, elem_type: i32, axes: &[Axis]) -> ValueInfoProto {
    let dim = axes
        .iter()
        .map(|axis| match axis {
            Axis::Fixed(size) => Dimension { dim_value: Some(*size as i64), dim_param: None },
            Axis::Named(name) => Dimension { dim_value: None, dim_param: Some((*name).to_owned()) },
        })
        .collect();
    let tensor_type = TensorType { elem_type, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

#[cfg(test)]
mod tests {
    use fenliu_model::onnx::ModelProto;
    use prost::Message;

    use super::{Axis, GraphBuilder, float, integer};

    /// Compares with field numbers and wire types taken from `onnx.proto` by hand.
    #[test]
    fn a_model_has_the_bytes_of_the_format() {
        let mut builder = GraphBuilder::default();
        let input = builder.input("a", &[Axis::Named("n"), Axis::Fixed(2)]);
        let cast = builder.node("Cast", &[&input], vec![integer("to", 1)]);
        builder.output("b", &cast, &[Axis::Named("n"), Axis::Fixed(2)]);
        let bytes = builder.build("g").encode_to_vec();
        let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(bytes.starts_with(&[0x08, 8]), "ir_version is field 1");
        assert!(contains(&[0x42, 2, 0x10, 17]), "opset_import is field 8, version field 2");
        assert!(contains(&[0x0a, 2, b't', b'o', 0x18, 1, 0xa0, 0x01, 2]), "attribute: name, i, type");
        assert!(contains(&[0x0a, 3, 0x12, 1, b'n', 0x0a, 2, 0x08, 2]), "shape: dim_param, dim_value");
        assert_eq!(ModelProto::decode(bytes.as_slice()).unwrap().encode_to_vec(), bytes);
    }

    #[test]
    fn constants_are_little_endian_and_row_by_row() {
        let mut builder = GraphBuilder::default();
        builder.floats("w", &[2, 1], &[1.0, -2.0]);
        builder.scalar(0.5);
        let graph = builder.build("g").graph.unwrap();
        assert_eq!(graph.initializer[0].raw_data[..], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(graph.initializer[0].dims, [2, 1]);
        assert!(graph.initializer[1].dims.is_empty());
        assert_eq!(float("epsilon", 1e-5).f, 1e-5);
    }
}
