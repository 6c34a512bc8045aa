//! The section `http`: where the page, its API, metrics and health can be reached, and by whom.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytesize::ByteSize;
use fenliu_config::Problems;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The listener of `fenliu run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Address and port for the page, its API, metrics and health, such as `127.0.0.1:9463`; port 0: any free one. Empty:
    /// there is no page.
    pub listen: String,
    /// Address and port for metrics and health alone, such as `0.0.0.0:9464`. They contain no text of documents, and need
    /// no token. Empty: none.
    pub ops: String,
    /// Names under which the page may be reached beside the address itself and `localhost`, such as that of an ingress. A
    /// request for any other name is refused, so that a page elsewhere cannot reach this one through a name of its own.
    pub hosts: Vec<String>,
    /// Whether all users may only look.
    pub read_only: bool,
    /// Whether an address other than the loopback may be used without authentication.
    pub insecure: bool,
    /// Who may do what.
    pub auth: AuthConfig,
    /// The texts that the page shows.
    pub feed: FeedConfig,
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthConfig {
    /// `none`, `token` or `proxy`.
    pub mode: AuthMode,
    /// With `token`: the users.
    pub tokens: Vec<TokenConfig>,
    /// With `proxy`: the header in which the proxy names the user. Default: x-forwarded-user.
    pub user_header: String,
    /// With `proxy`: the header with the user's groups, separated by commas. Default: x-forwarded-groups.
    pub groups_header: String,
    /// With `proxy`: the role of each group; users of no such group are viewers.
    pub roles: BTreeMap<String, Role>,
    /// With `proxy`: addresses, or networks such as `10.0.0.0/8`, from which these headers are believed.
    pub trusted_proxies: Vec<String>,
}

/// How users are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthMode {
    /// They are not: whoever reaches the listener is an operator.
    #[default]
    None,
    /// By a token, which a browser exchanges for a cookie.
    Token,
    /// By a header of a proxy that has authenticated them.
    Proxy,
}

/// What a user may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Look, and ask the model.
    #[default]
    Viewer,
    /// Correct labels.
    Editor,
    /// Change the model in use, start jobs.
    Operator,
}

/// A user with a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokenConfig {
    /// The user's name, which corrections carry as `by`.
    pub name: String,
    /// The user's role. Default: viewer.
    pub role: Role,
    /// The secret, such as `${NEWS_DESK_TOKEN}`.
    pub token: String,
}

/// The newest documents, kept in memory for the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeedConfig {
    /// Most documents; 0: none are kept, and the page has no desk. Default: 5,000.
    pub documents: usize,
    /// Most bytes of their texts. Default: 32 MiB.
    pub memory: ByteSize,
    /// Most documents that are taken a second, on average over ten seconds; of faster streams a sample. Documents whose label is not trusted are taken
    /// as well as these. Default: 200.
    pub per_second: u32,
}

impl Default for FeedConfig {
    fn default() -> Self {
        FeedConfig { documents: 5_000, memory: ByteSize::mib(32), per_second: 200 }
    }
}

/// Fewest characters of a token: 128 bits in base64 have 22.
const TOKEN_LENGTH: usize = 16;

impl HttpConfig {
    /// Whether there is a page, and so something to keep documents for.
    pub(crate) fn has_page(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Whether documents are kept for the page.
    pub(crate) fn has_feed(&self) -> bool {
        self.has_page() && self.feed.documents > 0
    }

    /// Checks all values.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, value) in [("http.listen", &self.listen), ("http.ops", &self.ops)] {
            let is_valid = value.is_empty() || value.parse::<SocketAddr>().is_ok();
            problems.require(is_valid, key, value, "IP:PORT, such as 127.0.0.1:9463");
        }
        let FeedConfig { documents, memory, .. } = &self.feed;
        problems.require(*documents <= 1_000_000, "http.feed.documents", documents, "at most 1000000");
        let bounds = ByteSize::mib(1)..=ByteSize::gib(4);
        problems.require(bounds.contains(memory), "http.feed.memory", memory, "1 MiB to 4 GiB");
        self.check_auth(problems);
    }

    fn check_auth(&self, problems: &mut Problems) {
        let address = self.listen.parse::<SocketAddr>().ok();
        let is_open = address.is_some_and(|address| !address.ip().is_loopback());
        match self.auth.mode {
            AuthMode::None if is_open && !self.insecure => problems.add(
                "http.listen",
                format!(
                    "is {}, which other machines can reach, but `http.auth.mode` is `none`: use `token` or `proxy`, or set \
                     `http.insecure = true` if everyone who can reach it may change the model",
                    self.listen
                ),
            ),
            AuthMode::None => {}
            AuthMode::Token => self.check_tokens(problems),
            AuthMode::Proxy => self.check_proxies(problems),
        }
    }

    fn check_tokens(&self, problems: &mut Problems) {
        let tokens = &self.auth.tokens;
        problems.require(!tokens.is_empty(), "http.auth.tokens", "empty", "at least one");
        for (index, token) in tokens.iter().enumerate() {
            let key = |part: &str| format!("http.auth.tokens[{index}].{part}");
            problems.require(!token.name.is_empty(), &key("name"), "empty", "the name of a user");
            let length = token.token.len();
            let bound = "at least 16 characters";
            problems.require(
                length >= TOKEN_LENGTH,
                &key("token"),
                format!("{length} characters long"),
                bound,
            );
        }
    }

    fn check_proxies(&self, problems: &mut Problems) {
        let proxies = &self.auth.trusted_proxies;
        let bound = "the addresses of the proxy; anyone else could name any user";
        problems.require(!proxies.is_empty(), "http.auth.trusted_proxies", "empty", bound);
        for (index, proxy) in proxies.iter().enumerate() {
            let key = format!("http.auth.trusted_proxies[{index}]");
            problems.require(
                network(proxy).is_some(),
                &key,
                proxy,
                "an address, or a network such as 10.0.0.0/8",
            );
        }
    }
}

/// A network, or the one of a single address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
