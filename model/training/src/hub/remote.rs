//! What the hub says about a file before its content is fetched.

use ureq::http::header;

use super::client::{Ask, Client, LINKED_ETAG, LINKED_SIZE, Response, header_text};
use super::digest::Expected;
use super::failure::Failure;
use super::listing::Entry;

/// A file at its place on the hub.
#[derive(Debug)]
pub(super) struct Remote {
    /// Its path in the repository.
    pub(super) name: String,
    /// Where its content is.
    pub(super) url: String,
    /// The name of its content in the cache.
    pub(super) etag: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What its content must be.
    pub(super) expected: Expected,
}

impl Remote {
    /// Asks for a file of a commit.
    pub(super) fn request(client: &Client<'_>, commit: &str, entry: &Entry) -> Result<Self, Failure> {
        let url = client.file_url(commit, &entry.name);
        let response = client.attempts().run(|| client.once(Ask::Headers, &url))?;
        let name = entry.name.clone();
        let etag = etag(&response).ok_or_else(|| {
            Failure::unusable(format!(
                "{name}: the hub gives no usable ETag, by which the cache names its files"
            ))
        })?;
        let size = size(&response).or(entry.size);
        let size = size.ok_or_else(|| Failure::unusable(format!("{name}: the hub does not say its size")))?;
        let remote = Self { expected: Expected::of_etag(&etag), name, url, etag, size };
        remote.compare(entry)?;
        Ok(remote)
    }

    /// Checks that the answer about the file and the list of files do not contradict each other.
    fn compare(&self, entry: &Entry) -> Result<(), Failure> {
        let listed = entry.lfs.as_ref().and_then(|lfs| lfs.sha256.as_deref());
        let contradicts = |what: &str, answer: &str, listed: &str| {
            let problem = format!("{what} is {answer} in the hub's answer but {listed} in its list of files");
            Err(Failure::unusable(format!("{}: {problem}", self.name)))
        };
        match (&self.expected, listed, entry.size) {
            (Expected::Sha256(answer), Some(listed), _) if answer != listed => {
                contradicts("SHA-256", answer, listed)
            }
            (_, _, Some(listed)) if self.size != listed => {
                contradicts("the size", &self.size.to_string(), &listed.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// The `ETag`, without quotes and the mark of weak tags; `None` if it could not be the name of a file.
fn etag(response: &Response) -> Option<String> {
    let text = header_text(response, LINKED_ETAG).or_else(|| header_text(response, header::ETAG.as_str()))?;
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// The size of the content, which is not that of the answer if the content is elsewhere.
fn size(response: &Response) -> Option<u64> {
    let linked = header_text(response, LINKED_SIZE);
    let own = header_text(response, header::CONTENT_LENGTH.as_str());
    linked.or(own.filter(|_| response.status().is_success()))?.parse().ok()
}
