//! One file with tensors: safetensors, or a pickle of PyTorch.

use std::path::Path;

use candle_core::pickle::PthTensors;
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{Device, Tensor};

/// Keys under which training programs keep the weights beside other things.
const STATES: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// How a file begins that only says where the real one is.
const GIT_LFS: &[u8] = b"version https://git-lfs";

/// An open file.
pub(super) enum TensorFile {
    Safetensors(BufferedSafetensors),
    Pickle(PthTensors),
}

impl TensorFile {
    /// Opens a file; its kind is told by its name.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        refuse_pointer(path)?;
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
            return Ok(Self::Safetensors(
                BufferedSafetensors::new(bytes).map_err(|error| error.to_string())?,
            ));
        }
        let pickle = open_pickle(path).map_err(|error| {
            format!("{error}; a file of PyTorch before 1.6 or with other objects in it must be saved again")
        });
        Ok(Self::Pickle(pickle?))
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.tensors().into_iter().map(|(name, _)| name).collect(),
            Self::Pickle(file) => file.tensor_infos().keys().cloned().collect(),
        }
    }

    /// The shape of a tensor.
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, String> {
        match self {
            Self::Safetensors(file) => {
                file.get(name).map(|view| view.shape().to_vec()).map_err(|error| error.to_string())
            }
            Self::Pickle(file) => {
                let info = file.tensor_infos().get(name).ok_or("is not there")?;
                Ok(info.layout.dims().to_vec())
            }
        }
    }

    /// A tensor with the type that it is stored in.
    pub(super) fn load(&self, name: &str) -> Result<Tensor, String> {
        match self {
            Self::Safetensors(file) => file.load(name, &Device::Cpu).map_err(|error| error.to_string()),
            Self::Pickle(file) => load_pickled(file, name),
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

/// Opens a pickle whose tensors are at the top or under one of [`STATES`].
fn open_pickle(path: &Path) -> candle_core::Result<PthTensors> {
    let top = PthTensors::new(path, None)?;
    if !top.tensor_infos().is_empty() {
        return Ok(top);
    }
    for key in STATES {
        if let Ok(inner) = PthTensors::new(path, Some(key))
            && !inner.tensor_infos().is_empty()
        {
            return Ok(inner);
        }
    }
    candle_core::bail!("there is no tensor in it")
}

fn load_pickled(file: &PthTensors, name: &str) -> Result<Tensor, String> {
    let info = file.tensor_infos().get(name).ok_or("is not there")?;
    // A tensor that is a view into a larger storage would be read from the wrong place: candle takes its offset
    // for bytes, but the file gives it in elements.
    if info.layout.start_offset() > 0 {
        return Err("is a part of another one; save the checkpoint again with `save_pretrained`".to_owned());
    }
    match file.get(name) {
        Ok(Some(tensor)) => Ok(tensor),
        Ok(None) => Err("is not there".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
