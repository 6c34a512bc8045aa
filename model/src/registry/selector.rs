//! Selectors of a version: `champion`, `challenger`, `previous`, its ULID or the start of it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::alias::Alias;

/// A parsed selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Alias(Alias),
    Previous,
    /// The first letters of a ULID, upper case.
    Prefix(String),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "champion" => Ok(Self::Alias(Alias::Champion)),
            "challenger" => Ok(Self::Alias(Alias::Challenger)),
            "previous" => Ok(Self::Previous),
            // ULIDs are written in Crockford's base 32: digits and letters, upper or lower case.
            _ if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) => {
                Ok(Self::Prefix(text.to_ascii_uppercase()))
            }
            _ => Err(format!(
                "`{text}` is not `champion`, `challenger`, `previous` or the start of a version's ULID"
            )),
        }
    }
}

/// Splits `models/news@champion` into the model's directory and the selector.
pub(crate) fn split(path: &Path) -> (PathBuf, Option<String>) {
    // The name of an existing directory may contain an `@`, which then does not begin a selector.
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.rsplit_once('@')) {
        Some((model, selector)) if !path.exists() => (path.with_file_name(model), Some(selector.to_owned())),
        _ => (path.to_path_buf(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_ulids_are_parsed_and_other_texts_refused() {
        assert_eq!("challenger".parse(), Ok(Selector::Alias(Alias::Challenger)));
        assert_eq!("previous".parse(), Ok(Selector::Previous));
        assert_eq!("01ka".parse(), Ok(Selector::Prefix("01KA".to_owned())));
        for text in ["", "../x", "a b", "冠军"] {
            let error = Selector::from_str(text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is not")), "{error}");
        }
    }

    #[test]
    fn paths_are_split_at_their_last_at_sign() {
        let root = tempfile::tempdir().unwrap();
        let odd = root.path().join("a@b");
        std::fs::create_dir(&odd).unwrap();
        for (path, expected) in [
            ("models/news", (PathBuf::from("models/news"), None)),
            ("models/news@champion", (PathBuf::from("models/news"), Some("champion".to_owned()))),
            ("news@", (PathBuf::from("news"), Some(String::new()))),
            ("me@home/news", (PathBuf::from("me@home/news"), None)),
            (odd.to_str().unwrap(), (odd.clone(), None)),
        ] {
            assert_eq!(split(Path::new(path)), expected, "{path}");
        }
    }
}
