//! Thread pools for training.

use fenliu_model::{ModelError, Result};

/// Runs `work` in a thread pool of its own, so that rayon's global pool keeps its size; 0 threads = one per
/// core.
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| ModelError::Training(format!("cannot start threads: {error}")))?.install(work)
}
