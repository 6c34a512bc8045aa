//! Which files of a directory have the weights.
//!
//! As in `transformers`, the first of these counts: `model.safetensors`, `model.safetensors.index.json`,
//! `pytorch_model.bin`, `pytorch_model.bin.index.json`. An index says which file has which tensor; every tensor that
//! it names must be there, so that shards of another checkpoint are noticed.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use fenliu_model::{ModelError, Result};
use serde::Deserialize;

use super::file::TensorFile;

const SAFETENSORS: &str = "model.safetensors";
const PICKLE: &str = "pytorch_model.bin";

/// Open files and what is in them.
pub(super) struct Stored {
    /// The file that names the tensors.
    pub(super) main: String,
    pub(super) files: Vec<TensorFile>,
    /// For each tensor the number of its file, and its name there.
    pub(super) places: Vec<(usize, String)>,
}

/// An index of several files.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn open(directory: &Path) -> Result<Stored> {
    for main in [SAFETENSORS, PICKLE] {
        if directory.join(main).exists() {
            let file = open_file(directory, main)?;
            let places = file.names().into_iter().map(|name| (0, name)).collect();
            return Ok(Stored { main: main.to_owned(), files: vec![file], places });
        }
        let index = format!("{main}.index.json");
        if directory.join(&index).exists() {
            return open_shards(directory, index);
        }
    }
    let problem = format!("it has neither {SAFETENSORS} nor {PICKLE}, nor an index of several such files");
    Err(ModelError::import(directory, problem))
}

fn open_file(directory: &Path, name: &str) -> Result<TensorFile> {
    TensorFile::open(&directory.join(name))
        .map_err(|problem| ModelError::import(directory, format!("{name}: {problem}")))
}

fn open_shards(directory: &Path, main: String) -> Result<Stored> {
    let path = directory.join(&main);
    let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
    let mut by_file: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (tensor, file) in &index.weight_map {
        by_file.entry(file).or_default().push(tensor.clone());
    }
    let refuse = |problem: String| ModelError::import(directory, format!("{main}: {problem}"));
    if by_file.is_empty() {
        return Err(refuse("`weight_map` is empty".to_owned()));
    }
    let (mut files, mut places) = (Vec::new(), Vec::new());
    for (name, tensors) in by_file {
        check_shard(directory, name, &tensors).map_err(refuse)?;
        let file = open_file(directory, name)?;
        check_contents(&file, name, &tensors).map_err(refuse)?;
        places.extend(tensors.into_iter().map(|tensor| (files.len(), tensor)));
        files.push(file);
    }
    Ok(Stored { main, files, places })
}

/// Checks that a shard is a file of the directory.
fn check_shard(directory: &Path, name: &str, tensors: &[String]) -> Result<(), String> {
    let entry =
        format!("`weight_map` says that {} tensors (`{}`, …) are in `{name}`", tensors.len(), tensors[0]);
    let mut parts = Path::new(name).components();
    // An index comes from elsewhere: it must not make this program read other files.
    let is_inside = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !is_inside {
        return Err(format!("{entry}, which is not a file of the same directory"));
    }
    if !directory.join(name).is_file() {
        return Err(format!("{entry}, which is not there: copy all files of the checkpoint"));
    }
    Ok(())
}

fn check_contents(file: &TensorFile, name: &str, tensors: &[String]) -> Result<(), String> {
    match tensors.iter().find(|tensor| file.shape(tensor).is_none()) {
        Some(tensor) => Err(format!(
            "`weight_map` says that `{tensor}` is in `{name}`, which does not have it: the files are not of one \
             checkpoint"
        )),
        None => Ok(()),
    }
}
