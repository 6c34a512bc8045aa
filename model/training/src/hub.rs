//! Fetching a checkpoint from a model hub with the interface of <https://huggingface.co>.
//!
//! Contract: [`fetch`] returns a directory that [`crate::huggingface`] imports. Only what an import needs is fetched,
//! and weights only as safetensors: a pickle can run code in the programs that load it. Every file is compared with
//! the digest that the hub gives, whether it was fetched now or was in the cache already. The access token is sent to
//! the hub alone, not to the storage that it redirects to.
//!
//! The cache has the layout of Python's `huggingface_hub`
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>), so that each finds what the other has fetched.
//!
//! A call has these steps, one module each:
//!
//! ```text
//! reference ─▶ listing (commit, names) ─▶ selection (what to fetch) ─▶ remote (ETag, size) ─▶ download ─▶ cache
//!                       └────────────── client (token, redirects), attempts ──────────────┘
//! ```
//!
//! Not here: data sets, uploads, removing old versions from the cache, measuring free space.

mod attempts;
mod cache;
mod client;
mod digest;
mod download;
mod failure;
mod listing;
mod offline;
mod online;
mod options;
mod redirect;
mod reference;
mod remote;
mod selection;
mod snapshot;

use fenliu_model::Result;

use cache::Cache;

pub use download::Progress;
pub use options::{HubOptions, Token};
pub use reference::{Reference, is_reference};
pub use snapshot::Snapshot;

/// Fetches what an import of `reference` needs, as far as it is not in the cache, and returns where it is.
///
/// `progress` is called with each part of a file that arrives.
///
/// # Errors
///
/// The repository or its revision does not exist, or may not be read with this token; it has no weights as safetensors,
/// or lacks another file that an import needs; a name or a digest is not as it must be; the hub cannot be reached, or
/// is offline by `options` and something is not in the cache; a file cannot be read or written. What was fetched
/// until then stays in the cache, and the next call continues there.
pub fn fetch(
    reference: &Reference,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Snapshot> {
    let cache = Cache::new(&options.cache, reference);
    if options.offline {
        offline::find(reference, &cache)
    } else {
        online::fetch(reference, options, &cache, progress)
    }
}

#[cfg(test)]
mod tests;
