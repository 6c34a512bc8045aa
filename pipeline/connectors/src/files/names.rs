//! How files are named in the directory of a sink: data files, and files that are not finished yet.

/// What the names of files begin with.
pub(super) const LABELLED: &str = "labelled";
pub(super) const DEAD_LETTERS: &str = "dead-letters";

/// How hidden names end.
const ENDING: &str = ".inprogress";

/// The hidden name, at the top of the directory, of a file that will get the name `name`.
pub(super) fn hidden(name: &str) -> String {
    format!(".{}{ENDING}", file_name(name))
}

/// The last part of a path within the directory.
pub(super) fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The final name of the hidden file `name`, if it is one of those whose names begin with one of `prefixes`.
pub(super) fn final_name<'a>(name: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    let name = name.strip_prefix('.')?.strip_suffix(ENDING)?;
    let of = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('-'));
    prefixes.iter().any(of).then_some(name)
}

/// What follows the last dot of a name.
pub(super) fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The directory of a file with this name: empty at the top, else with a `/` at its end.
pub(super) fn place_of(name: &str) -> &str {
    name.rfind('/').map_or("", |end| &name[..=end])
}
