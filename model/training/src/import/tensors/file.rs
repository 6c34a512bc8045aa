//! One file with tensors: safetensors, or a pickle of PyTorch.

use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::{DType as PickledType, PytorchError, PytorchReader};
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

/// Keys under which training programs keep the weights beside other things.
const STATES: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// How a file begins that only says where the real one is.
const GIT_LFS: &[u8] = b"version https://git-lfs";
/// Length of the number before the header of a safetensors file, which gives the header's length.
const HEADER_LENGTH: usize = size_of::<u64>();

/// An open file.
pub(super) enum TensorFile {
    Safetensors { bytes: Vec<u8>, header: Metadata, values_start: usize },
    Pickle(PytorchReader),
}

impl TensorFile {
    /// Opens a file; its kind is told by its name.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        refuse_pointer(path)?;
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
            let (length, header) = SafeTensors::read_metadata(&bytes).map_err(|error| error.to_string())?;
            return Ok(Self::Safetensors { bytes, header, values_start: HEADER_LENGTH + length });
        }
        open_pickle(path).map(Self::Pickle)
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors { header, .. } => header.offset_keys(),
            Self::Pickle(file) => file.keys(),
        }
    }

    /// The shape of a tensor; `None` if there is no such tensor.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Safetensors { header, .. } => header.info(name).map(|tensor| tensor.shape.as_slice()),
            Self::Pickle(file) => file.get(name).map(pytorch_reader::Tensor::shape),
        }
    }

    /// The values of a tensor in row-major order.
    ///
    /// # Errors
    ///
    /// There is no such tensor, its elements are not floats, or it cannot be read.
    pub(super) fn values(&self, name: &str) -> Result<Vec<f32>, String> {
        match self {
            Self::Safetensors { bytes, header, values_start } => {
                let tensor = header.info(name).ok_or("is not there")?;
                let (start, end) = tensor.data_offsets;
                Float::of_safetensors(tensor.dtype)?.decode(&bytes[values_start + start..values_start + end])
            }
            Self::Pickle(file) => {
                let tensor = file.get(name).ok_or("is not there")?;
                let float = Float::of_pickle(tensor.dtype())?;
                float.decode(&tensor.read().map_err(|error| format!("cannot be read: {error}"))?)
            }
        }
    }
}

/// Weights are often fetched by Git without its extension for large files, which leaves a few lines of text.
fn refuse_pointer(path: &Path) -> Result<(), String> {
    use std::io::Read;
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(GIT_LFS.len() as u64).read_to_end(&mut start).map_err(|error| error.to_string())?;
    if start == GIT_LFS {
        return Err("it is a pointer of Git LFS and not the weights: run `git lfs pull`".to_owned());
    }
    Ok(())
}

/// Opens a pickle whose tensors are under one of [`STATES`] or at the top. The reader runs nothing of what is in it.
fn open_pickle(path: &Path) -> Result<PytorchReader, String> {
    let explain = |error: PytorchError| {
        format!(
            "{error}; a file with other objects than tensors in it must be saved again, with `save_pretrained`"
        )
    };
    for key in STATES {
        match PytorchReader::with_top_level_key(path, key) {
            Ok(inner) if !inner.is_empty() => return Ok(inner),
            Ok(_) | Err(PytorchError::KeyNotFound(_)) => {}
            Err(error) => return Err(explain(error)),
        }
    }
    let top = PytorchReader::new(path).map_err(explain)?;
    if top.is_empty() { Err("there is no tensor in it".to_owned()) } else { Ok(top) }
}

/// The types of elements that weights may have.
#[derive(Clone, Copy)]
enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl Float {
    fn of_safetensors(kind: Dtype) -> Result<Self, String> {
        match kind {
            Dtype::F16 => Ok(Self::F16),
            Dtype::BF16 => Ok(Self::BF16),
            Dtype::F32 => Ok(Self::F32),
            Dtype::F64 => Ok(Self::F64),
            other => Err(refuse_type(&other)),
        }
    }

    fn of_pickle(kind: PickledType) -> Result<Self, String> {
        match kind {
            PickledType::F16 => Ok(Self::F16),
            PickledType::BF16 => Ok(Self::BF16),
            PickledType::F32 => Ok(Self::F32),
            PickledType::F64 => Ok(Self::F64),
            other => Err(refuse_type(&other)),
        }
    }

    /// Little-endian elements as `f32`, rounded to the nearest.
    fn decode(self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        match self {
            Self::F16 => elements(bytes, |element| f16::from_le_bytes(element).to_f32()),
            Self::BF16 => elements(bytes, |element| bf16::from_le_bytes(element).to_f32()),
            Self::F32 => elements(bytes, f32::from_le_bytes),
            Self::F64 => elements(bytes, narrowed),
        }
    }
}

fn refuse_type(kind: &dyn std::fmt::Debug) -> String {
    format!("is of type {kind:?}, not floats of 16, 32 or 64 bits; save the checkpoint in one of them")
}

#[expect(clippy::cast_possible_truncation, reason = "the network computes in `f32`")]
fn narrowed(element: [u8; 8]) -> f32 {
    f64::from_le_bytes(element) as f32
}

fn elements<const SIZE: usize>(bytes: &[u8], decode: impl Fn([u8; SIZE]) -> f32) -> Result<Vec<f32>, String> {
    let (elements, rest) = bytes.as_chunks();
    if rest.is_empty() {
        Ok(elements.iter().copied().map(decode).collect())
    } else {
        Err(format!("has {} bytes, which are not whole elements of {SIZE}", bytes.len()))
    }
}
