//! Fetching with the hub at hand.

use fenliu_model::Result;

use super::cache::Cache;
use super::client::Client;
use super::download::{Download, Progress};
use super::failure::Failure;
use super::listing::Listing;
use super::options::HubOptions;
use super::reference::Reference;
use super::remote::Remote;
use super::selection::Selection;
use super::snapshot::Snapshot;

/// Fetches what is not in the cache. The hub is asked what the revision means, even if everything is in the cache.
pub(super) fn fetch(
    reference: &Reference,
    options: &HubOptions,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Snapshot> {
    let result = Client::try_new(options, reference).and_then(|client| {
        let listing = Listing::request(&client)?;
        cache.set_commit(reference.revision(), &listing.commit)?;
        let snapshot = Snapshot::new(reference, cache, &listing.commit);
        Fetch { client: &client, cache, listing: &listing, snapshot, progress }.run()
    });
    result.map_err(|failure| failure.about(reference))
}

/// A fetch of one commit.
struct Fetch<'a> {
    client: &'a Client<'a>,
    cache: &'a Cache,
    listing: &'a Listing,
    snapshot: Snapshot,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Fetch<'_> {
    fn run(mut self) -> Result<Snapshot, Failure> {
        let selection = Selection::of(&self.listing.names())?;
        for file in &selection.files {
            self.file(file)?;
        }
        for shard in selection.shards(&self.snapshot.directory)? {
            self.file(&shard)?;
        }
        Ok(self.snapshot)
    }

    /// Fetches a file, unless it is in the cache.
    fn file(&mut self, file: &str) -> Result<(), Failure> {
        if self.snapshot.directory.join(file).exists() {
            return self.snapshot.add_cached(file);
        }
        let entry = self.listing.entry(file).ok_or_else(|| {
            Failure::absent(format!("model.safetensors.index.json names `{file}`, which is not there"))
        })?;
        let remote = Remote::request(self.client, &self.listing.commit, entry)?;
        let _lock = self.cache.lock(&remote.etag)?;
        let blob = self.cache.blob(&remote.etag);
        // Another revision may have the same content, or another process may just have fetched it.
        let is_there = blob.exists();
        if !is_there {
            let digest = Download::new(self.client, &remote, self.cache, self.progress).run(&blob)?;
            self.snapshot.files.insert(file.to_owned(), digest);
        }
        self.cache.link(&self.listing.commit, file, &remote.etag)?;
        if is_there { self.snapshot.add_cached(file) } else { Ok(()) }
    }
}
