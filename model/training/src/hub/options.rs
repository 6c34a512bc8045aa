//! Where the hub and its cache are. The environment variables are those of Python's `huggingface_hub`
//! (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fenliu_model::{ModelError, Result};

const ENDPOINT: &str = "https://huggingface.co";
/// Pause before the second attempt; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// Values that mean yes, in upper case.
const TRUE: [&str; 4] = ["1", "ON", "YES", "TRUE"];

/// An access token, which is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// How a checkpoint is fetched.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Address of the hub, without a slash at its end.
    pub endpoint: String,
    /// Access token, for repositories that are private or whose licence must be accepted.
    pub token: Option<Token>,
    /// Directory of the cache, in which each repository has one of its own.
    pub cache: PathBuf,
    /// Whether only the cache is used.
    pub offline: bool,
    /// Whether the proxies that the environment names (`HTTPS_PROXY`, `ALL_PROXY`, …) are used.
    pub proxies: bool,
    /// Pause before a failed request is sent again; each further pause is twice as long.
    pub pause: Duration,
}

impl Token {
    /// The token `text` without the white space around it; `None` if nothing else is in it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl HubOptions {
    /// The options that the environment asks for: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    ///
    /// There is a file with a token but it cannot be read; or neither of the variables names the cache, and there is
    /// no home directory.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`Self::from_environment`], with the variables that `variable` finds. Empty ones count as not set.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_environment`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = home(&variable)?;
        let path = |name: &str| variable(name).map(|value| expanded(&value, &variable));
        let token_path = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = match variable("HF_TOKEN").as_deref().and_then(Token::new) {
            Some(token) => Some(token),
            None => stored_token(&token_path)?,
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            proxies: true,
            pause: PAUSE,
        })
    }
}

fn is_true(value: &str) -> bool {
    TRUE.contains(&value.to_uppercase().as_str())
}

/// The directory of token and cache.
fn home(variable: &impl Fn(&str) -> Option<String>) -> Result<PathBuf> {
    if let Some(home) = variable("HF_HOME") {
        return Ok(expanded(&home, variable));
    }
    let general = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let general = general.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    let missing =
        || ModelError::option("HF_HOME", "not set", "must name a directory, since `HOME` is not set");
    Ok(general.ok_or_else(missing)?.join("huggingface"))
}

/// A path in which `~/` stands for the home directory.
fn expanded(path: &str, variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), variable("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// The token that `hf auth login` has stored.
fn stored_token(path: &Path) -> Result<Option<Token>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Token::new(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> HubOptions {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        HubOptions::from_variables(find).unwrap()
    }

    #[test]
    fn variables_name_the_hub_and_the_cache() {
        let defaults = options(&[("HOME", "/home/a")]);
        assert_eq!(defaults.endpoint, "https://huggingface.co");
        assert_eq!(defaults.cache, Path::new("/home/a/.cache/huggingface/hub"));
        assert!(!defaults.offline && defaults.token.is_none());
        assert_eq!(options(&[("HF_HOME", "/x")]).cache, Path::new("/x/hub"));
        assert_eq!(options(&[("HF_HOME", "~/x"), ("HOME", "/h")]).cache, Path::new("/h/x/hub"));
        assert_eq!(options(&[("XDG_CACHE_HOME", "/c")]).cache, Path::new("/c/huggingface/hub"));
        assert_eq!(options(&[("HF_HOME", "/x"), ("HF_HUB_CACHE", "/y")]).cache, Path::new("/y"));
        let set = options(&[("HF_HOME", "/x"), ("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "yes")]);
        assert_eq!((set.endpoint.as_str(), set.offline), ("http://mirror", true));
        assert!(!options(&[("HF_HOME", "/x"), ("HF_HUB_OFFLINE", "0")]).offline);
        assert!(HubOptions::from_variables(|_| None).unwrap_err().to_string().contains("`HF_HOME`"));
    }

    #[test]
    fn the_token_is_that_of_the_variable_or_of_the_file_and_is_not_printed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        assert_eq!(options(&[("HF_HOME", path)]).token, None);
        std::fs::write(home.path().join("token"), "stored\n").unwrap();
        assert_eq!(options(&[("HF_HOME", path)]).token, Token::new("stored"));
        let set = options(&[("HF_HOME", path), ("HF_TOKEN", " secret ")]);
        assert_eq!(set.token, Token::new("secret"));
        assert!(!format!("{set:?}").contains("secret"));
    }
}
