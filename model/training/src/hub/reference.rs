//! `hf:OWNER/NAME@REVISION`, which names a version of a model on the hub.

use std::fmt;
use std::str::FromStr;

use fenliu_model::{HubCause, ModelError};

const SCHEME: &str = "hf:";
const DEFAULT_REVISION: &str = "main";
/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;
/// The hub's bound on owner and name together.
const MAX_NAME_BYTES: usize = 96;
const SYNTAX: &str =
    "write hf:OWNER/NAME or hf:OWNER/NAME@REVISION, such as hf:google-bert/bert-base-uncased";
/// Characters that git forbids in the name of a branch or tag (git-check-ref-format).
const NOT_IN_REVISIONS: [char; 8] = ['\\', '~', '^', ':', '?', '*', '[', ' '];

/// A repository and one of its revisions. Its parts are safe as names of files and as parts of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    owner: String,
    name: String,
    revision: String,
}

/// Whether `text` is meant as a reference to a hub, and not as a path. It may still be invalid.
pub fn is_reference(text: &str) -> bool {
    text.starts_with(SCHEME)
}

impl Reference {
    /// The user or organisation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name of the repository, without its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A branch, a tag, a pull request such as `refs/pr/1`, or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// `OWNER/NAME`.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The revision if it is a whole commit, which never changes.
    pub(super) fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }
}

/// Whether `text` is a whole commit in lower case.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == COMMIT_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}@{}", self.owner, self.name, self.revision)
    }
}

impl FromStr for Reference {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (reference, cause) = (text.to_owned(), HubCause::Usage);
        parse(text).map_err(|problem| ModelError::Hub { reference, cause, problem })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    let path = text.strip_prefix(SCHEME).ok_or_else(|| format!("it does not begin with `hf:`; {SYNTAX}"))?;
    let (repository, revision) = path.split_once('@').unwrap_or((path, DEFAULT_REVISION));
    let (owner, name) = repository.split_once('/').ok_or_else(|| without_owner(repository))?;
    check_part("owner", owner)?;
    check_part("name", name)?;
    if repository.len() > MAX_NAME_BYTES {
        let length = repository.len();
        return Err(format!("owner and name have {length} characters but may have at most {MAX_NAME_BYTES}"));
    }
    check_revision(revision)?;
    let [owner, name, revision] = [owner, name, revision].map(str::to_owned);
    Ok(Reference { owner, name, revision })
}

fn without_owner(repository: &str) -> String {
    format!("`{repository}` names no owner: there is no `/` in it; {SYNTAX}")
}

/// Checks an owner or a name by the rules of the hub. They exclude whatever would lead out of a directory.
fn check_part(what: &str, part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err(format!("the {what} is empty; {SYNTAX}"));
    }
    if part.contains('/') {
        return Err(format!("there is more than one `/` before the revision; {SYNTAX}"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let outer = |byte: Option<&u8>| byte.is_some_and(|byte| b"-.".contains(byte));
    let bytes = part.as_bytes();
    let separated = part.contains("--") || part.contains("..");
    if !bytes.iter().copied().all(allowed) || outer(bytes.first()) || outer(bytes.last()) || separated {
        return Err(format!(
            "the {what} is `{part}` but may consist of ASCII letters, digits, `-`, `_` and `.`, without `--` or \
             `..`, and neither begin nor end with `-` or `.`"
        ));
    }
    Ok(())
}

fn check_revision(revision: &str) -> Result<(), String> {
    if revision.is_empty() {
        return Err("the revision after `@` is empty; leave out the `@` for `main`".to_owned());
    }
    let forbidden = |c: char| c.is_control() || NOT_IN_REVISIONS.contains(&c);
    let segment = |part: &str| part.is_empty() || part.starts_with('.') || part.contains("..");
    if revision.chars().any(forbidden) || revision.contains('@') || revision.split('/').any(segment) {
        return Err(format!("the revision `{revision}` cannot be the name of a branch or tag, or a commit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_an_owner_a_name_and_a_revision() {
        for (text, owner, name, revision) in [
            ("hf:a/b", "a", "b", "main"),
            ("hf:a/b@v1.0", "a", "b", "v1.0"),
            ("hf:open_ai/x-1.y@refs/pr/3", "open_ai", "x-1.y", "refs/pr/3"),
        ] {
            let reference: Reference = text.parse().unwrap();
            let parts = (reference.owner(), reference.name(), reference.revision());
            assert_eq!(parts, (owner, name, revision));
            assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(format!("hf:a/b@{commit}").parse::<Reference>().unwrap().commit(), Some(commit));
        assert!(is_reference("hf:") && !is_reference("./hf:a/b"));
    }

    #[test]
    fn what_is_wrong_with_a_reference_is_named() {
        let long = format!("hf:{}/{}", "a".repeat(50), "b".repeat(50));
        for (text, message) in [
            ("a/b", "does not begin with `hf:`"),
            ("hf:", "names no owner"),
            ("hf:bert-base-uncased", "`bert-base-uncased` names no owner"),
            ("hf:/b", "the owner is empty"),
            ("hf:a/", "the name is empty"),
            ("hf:a/b/c", "more than one `/`"),
            ("hf:a/../b", "more than one `/`"),
            ("hf:../b", "the owner is `..`"),
            ("hf:a/b--c", "the name is `b--c`"),
            ("hf:a/b?c", "the name is `b?c`"),
            ("hf:a/b@", "the revision after `@` is empty"),
            ("hf:a/b@../../x", "the revision `../../x` cannot be"),
            ("hf:a/b@/x", "the revision `/x` cannot be"),
            ("hf:a/b@x\\y", "cannot be the name of a branch"),
            ("hf:a/b@x@y", "cannot be the name of a branch"),
            (&long, "have 101 characters but may have at most 96"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
