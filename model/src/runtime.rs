//! Finding and loading the ONNX Runtime library.
//!
//! The library is loaded at run time, once per process, and shared by the sessions of all models. If the user
//! names a path (by an argument or `ORT_DYLIB_PATH`), it is the only one that is tried: otherwise a mistake
//! in it would be hidden by a library found elsewhere. The path may be the library or its directory.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::{Environment, EnvironmentBuilder};
use ort::logging::LogLevel;

use crate::error::{ModelError, Result};

const ADVICE: &str = "run `make onnxruntime`, or name the library with ORT_DYLIB_PATH";

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The loaded library.
#[derive(Debug)]
pub struct Runtime {
    path: PathBuf,
    version: String,
    environment: Environment,
}

impl Runtime {
    /// Where the library was loaded from; a bare file name if the system's loader found it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Major and minor version, such as `1.31`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Loads ONNX Runtime, or returns what an earlier call loaded.
///
/// It tries only `explicit` if given; otherwise only `ORT_DYLIB_PATH` if set; otherwise, in this order: the
/// directory of the executable; `$XDG_CACHE_HOME/fenliu/onnxruntime/<version>` (`~/.cache` if the variable is
/// not set), newest version first; the system's loader path.
///
/// # Errors
///
/// No library was found; or none of those found can be loaded or is recent enough; or `explicit` is a
/// different library than the one loaded before.
pub fn load(explicit: Option<&Path>) -> Result<&'static Runtime> {
    static LOADING: Mutex<()> = Mutex::new(());
    // ort allows one environment per process. Two threads that load at once must not both create it, which
    // `OnceLock` alone does not prevent when creating can fail.
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    // The library stays loaded for the life of the process, so a second path can only be compared with it.
    if let Some(runtime) = RUNTIME.get() {
        return match explicit {
            Some(path) if !in_place(path).contains(&runtime.path) => {
                let bound = format!("this process has already loaded {}", runtime.path.display());
                Err(ModelError::option("ONNX Runtime library", path.display(), bound))
            }
            _ => Ok(runtime),
        };
    }
    let runtime = first_loadable(explicit.map_or_else(default_candidates, in_place))?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

fn first_loadable(candidates: Vec<PathBuf>) -> Result<Runtime> {
    let mut tried = String::new();
    for path in candidates {
        match ort::init_from(&path) {
            Ok(builder) => return start(path, builder),
            // Writing to a string cannot fail.
            Err(error) => _ = write!(tried, "\n  {}: {error}", path.display()),
        }
    }
    Err(ModelError::Runtime { problem: "no usable library was found".to_owned(), tried, advice: ADVICE })
}

fn start(path: PathBuf, builder: EnvironmentBuilder) -> Result<Runtime> {
    let environment = builder.with_name("fenliu").with_telemetry(false).with_logger(Arc::new(log)).build();
    let environment = environment.map_err(|error| {
        let problem = format!("{}: {error}", path.display());
        ModelError::Runtime { problem, tried: String::new(), advice: ADVICE }
    })?;
    environment.set_log_level(LogLevel::Warning);
    let minor_version = ort::util::probe(&path).unwrap_or(ort::MINOR_VERSION);
    Ok(Runtime { path, version: format!("1.{minor_version}"), environment })
}

/// Forwards the library's messages to the log; by default the library writes them to stderr in its own format.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(location, message, "onnx runtime"),
        LogLevel::Warning => tracing::warn!(location, message, "onnx runtime"),
        LogLevel::Info | LogLevel::Verbose => tracing::debug!(location, message, "onnx runtime"),
    }
}

fn default_candidates() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return in_place(Path::new(&path));
    }
    let beside_executable = env::current_exe().ok().and_then(|path| path.parent().map(in_directory));
    let cached = cache_directory().map(|cache| newest_first(&cache.join("fenliu").join("onnxruntime")));
    let by_loader = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let mut candidates = beside_executable.unwrap_or_default();
    candidates.extend(cached.unwrap_or_default());
    candidates.push(by_loader.into());
    candidates
}

/// The library at a path that the user named, or the libraries in it if it is a directory.
fn in_place(path: &Path) -> Vec<PathBuf> {
    // The loader looks for a relative path in the directory of the executable first, but a user means the
    // working directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match in_directory(&path) {
        libraries if libraries.is_empty() => vec![path],
        libraries => libraries,
    }
}

fn cache_directory() -> Option<PathBuf> {
    let absolute =
        |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}

/// The libraries in the version directories below `parent`.
fn newest_first(parent: &Path) -> Vec<PathBuf> {
    let mut versions = entries(parent);
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    versions.iter().flat_map(|path| in_directory(path)).collect()
}

/// The numbers in a directory's name, so that 1.31 sorts after 1.9.
fn version(directory: &Path) -> Vec<u64> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// ONNX Runtime's libraries in `directory`: `libonnxruntime.so`, `libonnxruntime.so.1.31.1`,
/// `libonnxruntime.1.31.1.dylib`, `onnxruntime.dll`.
fn in_directory(directory: &Path) -> Vec<PathBuf> {
    let stem = format!("{}onnxruntime", env::consts::DLL_PREFIX);
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The dot excludes `libonnxruntime_providers_shared.so`, which is in the same directory.
        name.strip_prefix(&stem)
            .is_some_and(|rest| rest.starts_with('.') && rest.contains(env::consts::DLL_SUFFIX))
    };
    let mut libraries = entries(directory);
    libraries.retain(is_library);
    libraries.sort();
    libraries
}

/// The entries of a directory. A directory that cannot be read has no candidates, so that the search continues.
fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "not a library").unwrap();
    }

    #[test]
    fn newer_versions_are_tried_first() {
        let cache = tempfile::tempdir().unwrap();
        let [older, newer] = ["1.9.2", "1.31.1"].map(|version| {
            let name = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
            cache.path().join(version).join(name)
        });
        [&older, &newer].into_iter().for_each(|path| touch(path));
        touch(&newer.with_file_name("libonnxruntime_providers_shared.so"));
        assert_eq!(newest_first(cache.path()), [newer, older]);
    }
}
