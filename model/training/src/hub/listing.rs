//! What is in a repository at a revision: the commit, and the files with what git says about them.

use serde::Deserialize;

use super::client::{Ask, Client};
use super::failure::Failure;
use super::reference::is_commit;

/// Largest answer that is read. A file takes about 200 bytes of it.
const MAX_ANSWER_BYTES: u64 = 32 << 20;

/// The answer of `/api/models/OWNER/NAME/revision/REVISION`.
#[derive(Debug, Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Entry>,
}

/// A file of the repository.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Entry {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub(super) name: String,
    /// Its size in bytes, if the hub says it.
    #[serde(default)]
    pub(super) size: Option<u64>,
    /// Present if it is in git-lfs.
    #[serde(default)]
    pub(super) lfs: Option<Lfs>,
}

/// What git-lfs says about a file.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Lfs {
    /// SHA-256 of the content.
    #[serde(default)]
    pub(super) sha256: Option<String>,
}

/// The files of a commit.
#[derive(Debug)]
pub(super) struct Listing {
    /// The commit that the revision means at present.
    pub(super) commit: String,
    /// The files, with names that stay in a directory.
    pub(super) entries: Vec<Entry>,
}

impl Listing {
    /// Asks the hub.
    pub(super) fn request(client: &Client<'_>) -> Result<Self, Failure> {
        let url = client.listing_url();
        let body = client.attempts().run(|| read(client.once(Ask::Content(0), &url)?))?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            Failure::unusable(format!("the list of files of the hub is invalid: {error}"))
        })?;
        if !is_commit(&answer.sha) {
            let problem = format!("`sha` in the answer of the hub is `{}` but must be a commit", answer.sha);
            return Err(Failure::unusable(problem));
        }
        answer.siblings.iter().try_for_each(|entry| check_name(&entry.name))?;
        Ok(Self { commit: answer.sha, entries: answer.siblings })
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// The file `name`.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

fn read(mut response: super::client::Response) -> Result<Vec<u8>, Failure> {
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => Failure::unusable(format!(
            "the list of files of the hub has more than {MAX_ANSWER_BYTES} bytes, the most that are read"
        )),
        other => Failure::passing(format!("the list of files of the hub did not arrive: {other}")),
    })
}

/// Refuses a name that leads out of the directory of the files, on any operating system.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let outside = |part: &str| matches!(part, "" | "." | "..");
    if name.contains(['\\', '\0', ':']) || name.split('/').any(outside) {
        let problem =
            format!("the hub names a file `{name}`, which may lead out of the directory of the files");
        return Err(Failure::unusable(problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        for name in ["config.json", "1_Pooling/config.json", "..a", "a..b/c"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "..", "../a", "a/../b", "/a", "a//b", "a/", "a\\b", "C:a", "a/./b", "a\0"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
