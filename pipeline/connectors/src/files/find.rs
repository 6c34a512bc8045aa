//! Which files a list of paths stands for: files, directories with everything below them, and patterns.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use fenliu_config::{Properties, is_object};
use fenliu_engine::{Error, Result};
use globset::GlobBuilder;
use walkdir::{DirEntry, WalkDir};

use super::found::{Found, Place, is_hidden};

/// The most names of files that a message lists.
const MOST_NAMES: usize = 20;

/// The files that `paths` stand for, each once, those of a directory in order of name; `storage` says how buckets are
/// reached. Files and directories whose names begin with `_` or `.` are left out unless they are named: markers and what
/// is being written, as for Hadoop and Spark.
///
/// # Errors
/// A path that does not exist or cannot be read, or a pattern that is invalid.
pub(super) fn find(paths: &[PathBuf], storage: &Properties) -> Result<Vec<Found>> {
    let mut found = vec![];
    for path in paths {
        if let Some(url) = path.to_str().filter(|path| is_object(path)) {
            found.extend(in_bucket(url, storage)?);
        } else if path.is_dir() {
            found.extend(below(path)?);
        } else if path.exists() {
            found.push(Found::on_disk(path.clone(), true));
        } else {
            found.extend(matching(path)?);
        }
    }
    let mut seen = HashSet::new();
    // By the real path: a file that is named twice, perhaps through a link, is read once.
    found.retain(|file| seen.insert(file.path.canonicalize().unwrap_or_else(|_| file.path.clone())));
    for file in found.iter_mut().filter(|file| matches!(file.place, Place::Disk)) {
        file.path = without_dots(&file.path);
    }
    Ok(found)
}

#[cfg(feature = "s3")]
fn in_bucket(url: &str, storage: &Properties) -> Result<Vec<Found>> {
    super::object::find(url, storage)
}

#[cfg(not(feature = "s3"))]
fn in_bucket(url: &str, _: &Properties) -> Result<Vec<Found>> {
    Err(Error::usage(format!("{url}: this binary was built without the feature `s3`")))
}

/// The directory that a pattern begins with, and whether `path` is a pattern at all.
fn base(path: &Path) -> (PathBuf, bool) {
    let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let base: PathBuf = path.components().take_while(is_plain).collect();
    let is_pattern = base.components().count() < path.components().count();
    (base, is_pattern)
}

/// Whether a path contains characters that make it a pattern.
pub(super) fn is_pattern(path: &Path) -> bool {
    base(path).1
}

/// The files below `directory`.
fn below(directory: &Path) -> Result<Vec<Found>> {
    let mut hidden = vec![];
    let is_shown = |entry: &DirEntry| {
        let is_left_out = entry.depth() > 0 && is_hidden(&entry.file_name().to_string_lossy());
        if is_left_out {
            hidden.push(entry.path().display().to_string());
        }
        !is_left_out
    };
    let walk = WalkDir::new(directory).follow_links(true).sort_by_file_name().into_iter();
    let mut found = vec![];
    for entry in walk.filter_entry(is_shown) {
        let entry = entry.map_err(|error| Error::input(error.to_string()))?;
        if entry.file_type().is_file() {
            found.push(Found::on_disk(entry.into_path(), false));
        }
    }
    if !hidden.is_empty() {
        tracing::info!(
            event = "files_hidden",
            files = hidden.len(),
            "left out, since their names begin with `_` or `.`: {}",
            hidden[..hidden.len().min(MOST_NAMES)].join(", ")
        );
    }
    Ok(found)
}

/// The files that the pattern `path` matches.
fn matching(path: &Path) -> Result<Vec<Found>> {
    let (base, is_pattern) = base(path);
    if !is_pattern {
        return Err(Error::input(format!("{}: there is no such file or directory", path.display())));
    }
    let path = without_dots(path);
    let pattern = path.display().to_string();
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    let glob = glob.map_err(|error| Error::input(format!("{pattern}: {error}")))?.compile_matcher();
    let start = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    if !start.is_dir() {
        return Err(Error::input(format!("{pattern}: there is no directory {}", start.display())));
    }
    let mut found = below(&start)?;
    found.retain(|file| glob.is_match(without_dots(&file.path)));
    Ok(found)
}

/// `./a` is `a`.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "a.jsonl",
            "b.jsonl.gz",
            "c.csv",
            "_SUCCESS",
            ".hidden.jsonl",
            "_temporary/x.jsonl",
            "2024/05/e.jsonl",
            "day=2024-05-01/lang=zh/part-0.jsonl",
            "day=__HIVE_DEFAULT_PARTITION__/city=%E5%8C%97/p.jsonl",
        ] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        directory
    }

    fn names(root: &Path, found: &[Found]) -> Vec<String> {
        found.iter().map(|file| file.path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_directory_stands_for_all_files_below_it_but_hidden_ones() {
        let tree = tree();
        let found = find(&[tree.path().to_path_buf()], &Properties::new()).unwrap();
        assert_eq!(
            names(tree.path(), &found),
            [
                "2024/05/e.jsonl",
                "a.jsonl",
                "b.jsonl.gz",
                "c.csv",
                "day=2024-05-01/lang=zh/part-0.jsonl",
                "day=__HIVE_DEFAULT_PARTITION__/city=%E5%8C%97/p.jsonl",
            ]
        );
        assert!(found.iter().all(|file| !file.is_named));
        let columns =
            |index: usize| found[index].columns.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        assert_eq!(columns(4), ["day=2024-05-01", "lang=zh"]);
        assert_eq!(columns(5), ["city=北"]);
    }

    #[test]
    fn a_pattern_matches_within_and_across_directories() {
        let tree = tree();
        let matched = |pattern: &str| {
            names(tree.path(), &find(&[tree.path().join(pattern)], &Properties::new()).unwrap())
        };
        assert_eq!(matched("*.jsonl"), ["a.jsonl"]);
        assert_eq!(matched("**/*.jsonl").len(), 4);
        assert_eq!(matched("{a,c}.*"), ["a.jsonl", "c.csv"]);
        assert_eq!(matched("day=2024-*/lang=zh/*"), ["day=2024-05-01/lang=zh/part-0.jsonl"]);
        assert!(matched("*.parquet").is_empty());
    }

    #[test]
    fn a_file_is_found_once_however_often_and_in_whatever_way_it_is_named() {
        let tree = tree();
        let [a, c] = ["a.jsonl", "c.csv"].map(|name| tree.path().join(name));
        let paths = [tree.path().join("./c.csv"), a.clone(), tree.path().join("*.*"), c.clone()];
        let found = find(&paths, &Properties::new()).unwrap();
        assert_eq!(names(tree.path(), &found), ["c.csv", "a.jsonl", "b.jsonl.gz"]);
        assert_eq!(found.iter().map(|file| file.is_named).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(without_dots(Path::new("./news/./a.jsonl")).display().to_string(), "news/a.jsonl");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let tree = tree();
        let error = find(&[tree.path().join("no.jsonl")], &Properties::new()).unwrap_err().to_string();
        assert!(error.contains("no.jsonl"), "{error}");
        let error = find(&[tree.path().join("nowhere/*.jsonl")], &Properties::new()).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
    }
}
