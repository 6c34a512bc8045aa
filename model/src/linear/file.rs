//! A linear expert on disk.
//!
//! A safetensors file (little endian) for F features and C classes:
//!
//! | tensor | shape | type | content |
//! |---|---|---|---|
//! | `keys` | `[F]` | u64 | names of the features, ascending |
//! | `num` | `[F, C]` | f32 | r·w |
//! | `den` | `[F, C]` | f32 | r² |
//! | `bias` | `[C]` | f32 | |
//! | `user_dict` | `[bytes]` | u8 | the segmenter's user dictionary, if there is one |
//!
//! Its metadata has one entry, `linear`: JSON with `format` (1), `features` (the [`FeatureOptions`]) and `labels`
//! (ids in the order of the classes). It is one entry because safetensors writes several in no fixed order.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::LinearExpert;
use super::features::{FeatureOptions, Features};
use super::matrix::Matrix;
use super::table::{self, Table};
use crate::durable;
use crate::error::{ModelError, Result};
use crate::labels::Labels;

const METADATA: &str = "linear";
const FORMAT: u32 = 1;

/// What the file says about itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    features: FeatureOptions,
    labels: Vec<String>,
}

pub(super) fn write(expert: &LinearExpert, path: &Path) -> Result<()> {
    let bytes = serialize(expert).map_err(|problem| invalid(path, &problem))?;
    durable::replace(path, &bytes)
}

fn serialize(expert: &LinearExpert) -> Result<Vec<u8>, String> {
    let labels = expert.labels.ids();
    let description = Description { format: FORMAT, features: expert.features.options().clone(), labels };
    let description = serde_json::to_string(&description).map_err(|error| error.to_string())?;
    let tensors = tensors(expert);
    let mut views = Vec::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in &tensors {
        views
            .push((*name, TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| error.to_string())?));
    }
    let metadata = HashMap::from([(METADATA.to_owned(), description)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

/// Name, type, shape and bytes of each tensor.
fn tensors(expert: &LinearExpert) -> Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)> {
    let (keys, matrix) = (expert.table.keys(), &expert.matrix);
    let (features, classes) = (keys.len(), matrix.bias().len());
    let mut tensors = vec![
        ("keys", Dtype::U64, vec![features], keys.iter().flat_map(|key| key.to_le_bytes()).collect()),
        ("num", Dtype::F32, vec![features, classes], float_bytes(matrix.numerators())),
        ("den", Dtype::F32, vec![features, classes], float_bytes(matrix.denominators())),
        ("bias", Dtype::F32, vec![classes], float_bytes(matrix.bias().iter().copied())),
    ];
    if let Some(user_dict) = expert.features.user_dict() {
        tensors.push(("user_dict", Dtype::U8, vec![user_dict.len()], user_dict.as_bytes().to_vec()));
    }
    tensors
}

fn float_bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

pub(super) fn read(path: &Path, labels: &Labels) -> Result<LinearExpert> {
    let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
    let description = describe(&bytes).map_err(|problem| invalid(path, &problem))?;
    check_labels(&description.labels, labels).map_err(|problem| invalid(path, &problem))?;
    let content = Content::read(&bytes, labels.len()).map_err(|problem| invalid(path, &problem))?;
    let features = Features::from_file(description.features, content.user_dict, Some(path))
        .map_err(|error| invalid(path, &error.to_string()))?;
    let table = Table::new(content.keys);
    Ok(LinearExpert { features, labels: labels.clone(), table, matrix: content.matrix })
}

fn describe(bytes: &[u8]) -> Result<Description, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let description = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
    let description = description.ok_or_else(|| format!("its metadata has no `{METADATA}`"))?;
    let in_metadata = |error: serde_json::Error| format!("metadata `{METADATA}`: {error}");
    // Checked first, because another format may lack the other fields.
    let Format { format } = serde_json::from_str(description).map_err(in_metadata)?;
    if format != FORMAT {
        return Err(format!("metadata `{METADATA}`: `format` is {format} but this program reads {FORMAT}"));
    }
    serde_json::from_str(description).map_err(in_metadata)
}

fn check_labels(found: &[String], wanted: &Labels) -> Result<(), String> {
    let wanted = wanted.ids();
    if found.len() != wanted.len() {
        return Err(format!("`labels` has {} ids but {} are wanted", found.len(), wanted.len()));
    }
    match found.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
        Some(place) => {
            let (found, wanted) = (&found[place], &wanted[place]);
            Err(format!("`labels`: id {place} is `{found}` but `{wanted}` is wanted"))
        }
        None => Ok(()),
    }
}

/// The tensors of a file, checked.
struct Content {
    keys: Vec<u64>,
    matrix: Matrix,
    user_dict: Option<String>,
}

impl Content {
    fn read(bytes: &[u8], classes: usize) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let keys = tensor(&tensors, "keys", Dtype::U64, &[None])?;
        let keys: Vec<u64> = keys.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        table::check(&keys)?;
        let shape = [Some(keys.len()), Some(classes)];
        let num = floats(tensor(&tensors, "num", Dtype::F32, &shape)?);
        let den = floats(tensor(&tensors, "den", Dtype::F32, &shape)?);
        let bias = floats(tensor(&tensors, "bias", Dtype::F32, &[Some(classes)])?);
        let matrix = Matrix::new(&num, &den, bias);
        matrix.check(keys.len(), classes)?;
        Ok(Self { keys, matrix, user_dict: user_dict(&tensors)? })
    }
}

/// The bytes of a tensor of this type and shape; `None` stands for any length.
fn tensor<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[Option<usize>],
) -> Result<&'a [u8], String> {
    let tensor = tensors.tensor(name).map_err(|_| format!("there is no tensor `{name}`"))?;
    if tensor.dtype() != dtype {
        return Err(format!("tensor `{name}` is {:?} but {dtype:?} is wanted", tensor.dtype()));
    }
    let fits = |(found, wanted): (&usize, &Option<usize>)| wanted.is_none_or(|wanted| wanted == *found);
    let found = tensor.shape();
    if found.len() != shape.len() || !found.iter().zip(shape).all(fits) {
        let lengths = shape.iter().map(|length| length.map_or("any".to_owned(), |length| length.to_string()));
        let wanted = lengths.collect::<Vec<_>>().join(", ");
        return Err(format!("tensor `{name}` has the shape {found:?} but [{wanted}] is wanted"));
    }
    Ok(tensor.data())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn user_dict(tensors: &SafeTensors<'_>) -> Result<Option<String>, String> {
    const NAME: &str = "user_dict";
    if !tensors.names().contains(&NAME) {
        return Ok(None);
    }
    let bytes = tensor(tensors, NAME, Dtype::U8, &[None])?;
    let text = std::str::from_utf8(bytes).map_err(|error| format!("tensor `{NAME}`: {error}"))?;
    Ok(Some(text.to_owned()))
}

fn invalid(path: &Path, problem: &str) -> ModelError {
    ModelError::Weights(format!("{}: {problem}", path.display()))
}
