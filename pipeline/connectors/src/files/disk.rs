//! A directory of a local disk, or of what is mounted like one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fenliu_engine::{Error, Result};
use ulid::Ulid;

use super::directory::Directory;
use super::names::place_of;

#[derive(Debug)]
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn new(path: &Path) -> Self {
        Disk(path.to_path_buf())
    }

    /// Makes the directory that `name` lies in, and returns it.
    fn make_place(&self, name: &str) -> Result<PathBuf> {
        let place = self.path(place_of(name));
        std::fs::create_dir_all(&place).map_err(Error::file("create directory", &place))?;
        Ok(place)
    }

    /// A new name survives a crash of the machine only when its directory is synced, and the name of that directory
    /// when the one above it is. So all up to the sink's directory are.
    fn sync_up(&self, place: &Path) -> Result<()> {
        place.ancestors().take_while(|above| above.starts_with(&self.0)).try_for_each(sync)
    }
}

impl Directory for Disk {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.clone() } else { self.0.join(name) }
    }

    fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.0).map_err(Error::file("create directory", &self.0))
    }

    fn begin(&self, name: &str) -> Result<File> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        file.map_err(Error::file("create", path))
    }

    fn finish(&self, name: &str, file: File) -> Result<()> {
        file.sync_all().map_err(Error::file("sync", self.path(name)))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let place = self.make_place(name)?;
        let (hidden, path) = (place.join(format!(".{}", Ulid::generate())), self.path(name));
        // Written and synced under another name, then linked: unlike a rename, a hard link fails where the name exists,
        // so only one process can make a number, and a reader never sees half a file.
        let linked = write(&hidden, bytes).and_then(|()| match std::fs::hard_link(&hidden, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            outcome => outcome.map(|()| true).map_err(Error::file("create", &path)),
        });
        // The content stays under the linked name. If this fails, only a hidden name is left.
        let _ = std::fs::remove_file(&hidden);
        self.sync_up(&place)?;
        linked
    }

    fn read(&self, name: &str) -> Result<Option<File>> {
        let path = self.path(name);
        found(File::open(&path)).map_err(Error::file("open", path))
    }

    fn names(&self, place: &str) -> Result<Vec<String>> {
        let path = self.path(place);
        let names = || {
            let Some(entries) = found(std::fs::read_dir(&path))? else { return Ok(vec![]) };
            let mut names = vec![];
            for entry in entries {
                let entry = entry?;
                // A name that is not UTF-8 is not that of a file of fenliu.
                if let Ok(mut name) = entry.file_name().into_string() {
                    // `is_dir` follows links: a link to a directory counts as one.
                    if entry.path().is_dir() {
                        name.push('/');
                    }
                    names.push(name);
                }
            }
            Ok(names)
        };
        names().map_err(Error::file("list", &path))
    }

    fn modified(&self, name: &str) -> Result<Option<SystemTime>> {
        let path = self.path(name);
        let metadata = std::fs::metadata(&path).and_then(|file| file.modified());
        found(metadata).map_err(Error::file("look for", path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (hidden, place) = (self.path(from), self.make_place(to)?);
        let renamed = found(std::fs::rename(&hidden, self.path(to)));
        renamed.map_err(Error::file("rename", hidden))?;
        self.sync_up(&place)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        found(std::fs::remove_file(&path)).map(drop).map_err(Error::file("remove", path))
    }

    fn sync(&self, place: &str) -> Result<()> {
        let path = self.path(place);
        if path.exists() { sync(&path) } else { Ok(()) }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(Error::file("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", path))
}

fn sync(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(Error::file("sync", directory))
}

/// `None` for what does not exist.
fn found<T>(outcome: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}
