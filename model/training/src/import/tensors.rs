//! The tensors of a checkpoint by name.
//!
//! Contract: names are those that `transformers` gives to the parts of a model, whatever the program that trained
//! it was wrapped in; values are converted to `f32` when they are taken. Only the tensors that are taken are read
//! and checked, so that buffers and optimizer state of any type may lie beside them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fenliu_model::{ModelError, Result};

mod file;
mod names;
mod shards;
mod tensor;

use file::TensorFile;
use shards::Stored;
pub(super) use tensor::Tensor;

/// Tensors of any type, as they are stored in their files.
pub(super) struct StoredTensors {
    directory: PathBuf,
    /// The file that names the tensors: that of the weights, or the index of several.
    main: String,
    files: Vec<TensorFile>,
    by_name: HashMap<String, Place>,
}

/// Where a tensor is.
#[derive(Clone, Debug)]
struct Place {
    /// Number of the file.
    file: usize,
    /// Its name in the file.
    stored: String,
}

impl StoredTensors {
    /// Opens the weights in one or several files; see [`shards`] for which.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let Stored { main, files, places } = shards::open(directory)?;
        let mut by_name = HashMap::with_capacity(places.len());
        for (file, stored) in places {
            let name = names::canonical(&stored);
            let place = Place { file, stored };
            if let Some(other) = by_name.insert(name.clone(), place.clone()) {
                let (first, second) = (&other.stored, &place.stored);
                let problem = format!("{main}: `{first}` and `{second}` are both `{name}`; remove one");
                return Err(ModelError::import(directory, problem));
            }
        }
        Ok(Self { directory: directory.to_path_buf(), main, files, by_name })
    }

    /// Removes the name of an object that the whole model was a part of when it was saved, such as `module.`;
    /// `prefix` is that of the family's encoder, and `tokens` its table of tokens.
    pub(super) fn unwrap(&mut self, prefix: &str, tokens: &str) -> Result<()> {
        let wrapper = names::wrapper(self.by_name.keys().map(String::as_str), prefix, tokens);
        let wrapper = wrapper.map_err(|problem| self.refuse(&problem))?;
        if let Some(wrapper) = wrapper {
            tracing::info!(wrapper, "the tensors of the checkpoint lie under this name, which is left out");
            let unwrapped = self.by_name.drain().map(|(name, place)| {
                let name = name.strip_prefix(&wrapper).map_or(name.clone(), String::from);
                (name, place)
            });
            self.by_name = unwrapped.collect();
        }
        Ok(())
    }

    /// The file that names the tensors, for messages.
    pub(super) fn main(&self) -> &str {
        &self.main
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The shape of a matrix.
    pub(super) fn rows_and_columns(&self, name: &str) -> Result<(usize, usize)> {
        let (place, file) = self.find(name)?;
        match file.shape(&place.stored) {
            Some(&[rows, columns]) => Ok((rows, columns)),
            other => {
                let shape = other.unwrap_or_default();
                Err(self.problem(name, &format!("has the shape {shape:?} but must be a matrix")))
            }
        }
    }

    /// A tensor as `f32`, which must have this shape.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (place, file) = self.find(name)?;
        let found = file.shape(&place.stored).unwrap_or_default();
        if found != shape {
            let problem = format!("has the shape {found:?} but config.json asks for {shape:?}");
            return Err(self.problem(name, &problem));
        }
        let values = file.values(&place.stored).map_err(|problem| self.problem(name, &problem))?;
        Ok(Tensor { shape: shape.to_vec(), values })
    }

    fn find(&self, name: &str) -> Result<(&Place, &TensorFile)> {
        let place = self.by_name.get(name).ok_or_else(|| self.problem(name, &self.missing(name)))?;
        Ok((place, &self.files[place.file]))
    }

    /// That a tensor is not there, and under which name it might be.
    fn missing(&self, name: &str) -> String {
        let mut alike: Vec<&str> = self.names().filter(|other| other.ends_with(name)).collect();
        alike.sort_unstable();
        alike.first().map_or("is not there".to_owned(), |other| format!("is not there, but `{other}` is"))
    }

    fn problem(&self, name: &str, problem: &str) -> ModelError {
        self.refuse(&format!("tensor `{name}` {problem}"))
    }

    fn refuse(&self, problem: &str) -> ModelError {
        ModelError::import(&self.directory, format!("{}: {problem}", self.main))
    }
}

#[cfg(test)]
mod tests;
