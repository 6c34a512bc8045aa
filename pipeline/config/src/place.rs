//! Places that outputs write to: directories, and prefixes in buckets of an object store.

use std::path::{Component, Path, PathBuf, absolute};

use crate::problems::Problems;
use crate::properties::Properties;

/// Whether `path` is the address of a bucket (`s3://` or `s3a://`).
pub fn is_bucket(path: &str) -> bool {
    path.starts_with("s3://") || path.starts_with("s3a://")
}

/// Whether `path` is the address of an object or a prefix in a store that sources can read: S3, Google Cloud Storage
/// (`gs://`) or Azure (`az://`, `abfs://`, `abfss://`).
pub fn is_object(path: &str) -> bool {
    let scheme = path.split_once("://").map_or("", |(scheme, _)| scheme);
    is_bucket(path) || ["gs", "az", "azure", "abfs", "abfss"].contains(&scheme)
}

/// Checks the `path` and the `storage` options of the output `key`: the path must be a directory or the address of a
/// bucket, and only a bucket may have options. `has_buckets` says whether this binary was built with support for
/// buckets.
pub fn check_place(path: &str, storage: &Properties, has_buckets: bool, key: &str, problems: &mut Problems) {
    let path_key = format!("{key}.path");
    problems.require(!path.is_empty(), &path_key, "empty", "a directory or s3://BUCKET/PREFIX");
    if is_bucket(path) {
        let bucket = path.split_once("://").map_or("", |(_, place)| place);
        problems.require(
            !bucket.starts_with('/') && !bucket.is_empty(),
            &path_key,
            path,
            "s3://BUCKET/PREFIX",
        );
        if !has_buckets {
            problems.add(path_key, format!("is {path}, but this binary was built without the feature `s3`"));
        }
    } else if path.contains("://") {
        problems.add(path_key, format!("is {path} but must be a directory or begin with s3://"));
    } else if !storage.is_empty() {
        problems.add(format!("{key}.storage"), "is for buckets, but `path` is a directory");
    }
}

/// A canonical path, equal for all spellings of one place, so that two outputs in the same place are noticed.
///
/// Symbolic links are resolved in the part of the path that exists, and `..` in the part that does not exist yet.
pub fn same_place(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    if is_bucket(&text) {
        return text.replacen("s3a://", "s3://", 1).into();
    }
    let path = absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // `canonicalize` fails on a path that does not exist, so only the longest existing ancestor is given to it.
    let known = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, mut real)) = known else { return path };
    for component in path.strip_prefix(ancestor).into_iter().flat_map(Path::components) {
        match component {
            Component::ParentDir => drop(real.pop()),
            _ => real.push(component),
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_directory_give_the_same_place() {
        let elsewhere = tempfile::tempdir().unwrap();
        let [real, link] = ["real", "link"].map(|name| elsewhere.path().join(name));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let place = |path: &str| same_place(Path::new(path));
        assert_eq!(place("o3"), place("./o3/"));
        assert_eq!(place("none/../o3"), place("o3"));
        assert_eq!(same_place(&real.join("o3")), same_place(&link.join("o3")));
        assert_eq!(place("s3a://b/p"), place("s3://b/p"));
        assert_ne!(place("o3"), place("o33"));
    }

    #[test]
    fn sources_read_more_stores_than_outputs_write() {
        for path in ["s3://b/p", "gs://b/p", "az://c/p", "abfss://c@account.dfs.core.windows.net/p"] {
            assert!(is_object(path), "{path}");
        }
        assert!(!is_object("news/gs") && !is_object("ftp://host/p"));
    }

    #[test]
    fn a_place_must_be_a_directory_or_a_bucket() {
        let problems = |path: &str, storage: &Properties| {
            let mut problems = Problems::new("t");
            check_place(path, storage, true, "sinks[0]", &mut problems);
            problems.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
        };
        let options = Properties::from([("region".to_string(), "eu".to_string())]);
        assert_eq!(problems("out", &Properties::new()), "");
        assert_eq!(problems("s3://bucket/out", &options), "");
        assert!(problems("", &Properties::new()).contains("is empty"));
        assert!(problems("gs://bucket", &Properties::new()).contains("begin with s3://"));
        assert!(problems("out", &options).contains("is for buckets"));
    }
}
