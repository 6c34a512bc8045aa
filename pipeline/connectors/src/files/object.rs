//! Objects of a bucket as files of a source.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use fenliu_config::Properties;
use fenliu_decode::file::Input;
use fenliu_engine::{Error, Result};
use futures::TryStreamExt as _;
use globset::GlobBuilder;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;

use super::found::{Found, Place, columns_of, is_hidden};
use super::store;
use crate::runtime;

/// How much is fetched at once.
const PIECE_BYTES: u64 = 8 << 20;

/// An object, which is read by ranges.
#[derive(Clone, Debug)]
pub(super) struct Object {
    url: String,
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    runtime: Handle,
}

/// The objects that `url` stands for: an object, all below a prefix, or those that match a pattern.
///
/// # Errors
/// An invalid address, option or pattern; a store that does not answer.
pub(super) fn find(url: &str, storage: &Properties) -> Result<Vec<Found>> {
    let failed = |error: &dyn std::fmt::Display| Error::input(format!("{url}: {error}"));
    let (bucket, place) = parts(url);
    let store = store::any(&bucket, storage)?;
    let runtime = runtime::handle()?;
    let prefix = place
        .split('/')
        .take_while(|part| !part.contains(['*', '?', '[', '{']))
        .collect::<Vec<_>>()
        .join("/");
    let is_pattern = prefix.len() < place.len();
    let glob = GlobBuilder::new(&place).literal_separator(true).build().map_err(|error| failed(&error))?;
    let matcher = glob.compile_matcher();
    let start = Path::parse(&prefix).map_err(|error| failed(&error))?;
    let mut objects: Vec<ObjectMeta> =
        runtime.block_on(store.list(Some(&start)).try_collect()).map_err(|error| failed(&error))?;
    let is_named = !is_pattern && objects.is_empty();
    if is_named {
        // A prefix has objects below it; what has none is an object itself.
        objects.push(runtime.block_on(store.head(&start)).map_err(|error| failed(&error))?);
    }
    objects.sort_by(|one, other| one.location.cmp(&other.location));
    let is_wanted = |meta: &ObjectMeta| {
        let below = meta.location.as_ref().strip_prefix(start.as_ref()).unwrap_or_default();
        let is_shown = is_named || !below.split('/').any(is_hidden);
        is_shown && (!is_pattern || matcher.is_match(meta.location.as_ref()))
    };
    let found = |meta: ObjectMeta| {
        let url = format!("{bucket}/{}", meta.location);
        let object = Object { url: url.clone(), store: Arc::clone(&store), meta, runtime: runtime.clone() };
        let path = PathBuf::from(url);
        Found { columns: columns_of(&path), path, is_named, place: Place::Elsewhere(Arc::new(object)) }
    };
    Ok(objects.into_iter().filter(is_wanted).map(found).collect())
}

/// The bucket's address, and the place in it.
fn parts(url: &str) -> (String, String) {
    let after = url.find("://").map_or(0, |at| at + 3);
    match url[after..].split_once('/') {
        Some((host, place)) => (format!("{}{host}", &url[..after]), place.trim_end_matches('/').to_owned()),
        None => (url.to_owned(), String::new()),
    }
}

impl Input for Object {
    fn name(&self) -> &str {
        &self.url
    }

    fn length(&self) -> u64 {
        self.meta.size
    }

    fn tag(&self) -> Option<&str> {
        self.meta.e_tag.as_deref()
    }

    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(ObjectReader { object: self.clone(), next: offset, piece: io::Cursor::new(vec![]) }))
    }
}

/// Reads an object piece by piece.
struct ObjectReader {
    object: Object,
    next: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() || self.next >= self.object.meta.size {
            return Ok(read);
        }
        // Small reads, such as that of a Parquet footer, fetch no more than a piece.
        let end = self.object.meta.size.min(self.next + PIECE_BYTES);
        let Object { store, meta, runtime, .. } = &self.object;
        let bytes =
            runtime.block_on(store.get_range(&meta.location, self.next..end)).map_err(io::Error::other)?;
        self.next = end;
        self.piece = io::Cursor::new(bytes.to_vec());
        self.piece.read(buffer)
    }
}
