//! The section `kafka.oauth`: where clients get tokens for brokers that ask for `OAUTHBEARER`.

use std::time::Duration;

use fenliu_config::Problems;
use serde::{Deserialize, Serialize};

/// Where clients get their tokens: by client credentials from an authorization server, or from a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthConfig {
    /// The token endpoint of the authorization server, which is asked with the grant type `client_credentials`
    /// (RFC 6749, section 4.4).
    pub token_url: String,
    /// The client's name there.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// Scopes to ask for, separated by spaces. Empty: what the server gives.
    pub scope: String,
    /// A program and its arguments that print a token: the token itself, or a JSON object as token endpoints answer it.
    pub command: Vec<String>,
    /// When a token is replaced that does not say when it expires. Default: 15 min.
    #[serde(with = "humantime_serde")]
    pub lifetime: Duration,
    /// How long the server or the command may take. Default: 10 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for OAuthConfig {
    fn default() -> Self {
        OAuthConfig {
            token_url: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            scope: String::new(),
            command: vec![],
            lifetime: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(10),
        }
    }
}

impl OAuthConfig {
    /// Whether clients use tokens.
    pub fn is_used(&self) -> bool {
        !self.token_url.is_empty() || !self.command.is_empty()
    }

    /// Checks all values.
    pub fn check(&self, problems: &mut Problems) {
        let OAuthConfig { token_url, client_id, command, lifetime, timeout, .. } = self;
        if !token_url.is_empty() && !command.is_empty() {
            problems.add("kafka.oauth", "has both `token_url` and `command`: tokens come from one of them");
        }
        let has_scheme = token_url.starts_with("http://") || token_url.starts_with("https://");
        if !token_url.is_empty() && !has_scheme {
            problems.add(
                "kafka.oauth.token_url",
                format!("is {token_url} but must begin with http:// or https://"),
            );
        }
        if token_url.is_empty() != client_id.is_empty() {
            problems.add("kafka.oauth.client_id", "is needed with `token_url`, and only there");
        }
        if self.is_used() && !cfg!(feature = "tls") {
            problems.add("kafka.oauth", "needs a build with the feature `tls`");
        }
        let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
        let lifetimes = minute..=minute * 60 * 24;
        problems.require(
            lifetimes.contains(lifetime),
            "kafka.oauth.lifetime",
            format!("{lifetime:?}"),
            "1min to 24h",
        );
        let timeouts = second..=minute;
        problems.require(
            timeouts.contains(timeout),
            "kafka.oauth.timeout",
            format!("{timeout:?}"),
            "1s to 60s",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(oauth: &OAuthConfig) -> String {
        let mut problems = Problems::default();
        oauth.check(&mut problems);
        problems.to_string()
    }

    #[test]
    fn tokens_come_from_one_place() {
        let by_url = OAuthConfig {
            token_url: "https://idp/token".into(),
            client_id: "fenliu".into(),
            ..OAuthConfig::default()
        };
        assert!(!OAuthConfig::default().is_used() && by_url.is_used());
        let both = OAuthConfig { command: vec!["token".into()], ..by_url.clone() };
        assert!(problems_of(&both).contains("has both"));
        let nameless = OAuthConfig { client_id: String::new(), ..by_url.clone() };
        assert!(problems_of(&nameless).contains("kafka.oauth.client_id"));
        let bare = OAuthConfig { token_url: "idp/token".into(), ..by_url };
        assert!(problems_of(&bare).contains("must begin with http"));
    }
}
