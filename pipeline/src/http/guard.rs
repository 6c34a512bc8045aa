//! What every request passes before a handler sees it: the host, the method, the origin, the user and the user's role, and
//! the rate of changes. Handlers check none of this.
//!
//! A request is allowed by a list: a method and a path that are not on it need the highest role, and methods other than GET,
//! HEAD and POST are refused whatever the path.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use ipnet::IpNet;
use parking_lot::Mutex;
use rand::Rng;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::config::{AuthMode, HttpConfig, Role, network};

/// The name of the cookie that a browser gets for a token.
const COOKIE: &str = "fenliu_session";

/// How long a cookie is valid.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// Most changes of one user in ten seconds, and most failed logins of one address in a minute.
const WRITES: (u32, Duration) = (100, Duration::from_secs(10));
const LOGINS: (u32, Duration) = (5, Duration::from_secs(60));

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) role: Role,
}

/// The rules of one listener.
#[derive(Debug)]
pub(super) struct Guard {
    config: HttpConfig,
    /// Digests of the tokens, with their users.
    tokens: Vec<([u8; 32], Identity)>,
    proxies: Vec<IpNet>,
    sessions: Mutex<HashMap<String, (Identity, Instant)>>,
    rates: Mutex<HashMap<String, (u32, Instant)>>,
    port: u16,
}

impl Guard {
    /// The rules of `config` for the listener at `address`.
    pub(super) fn new(config: &HttpConfig, address: SocketAddr) -> Self {
        let user = |token: &crate::config::TokenConfig| {
            (digest(&token.token), Identity { name: token.name.clone(), role: token.role })
        };
        Guard {
            tokens: config.auth.tokens.iter().map(user).collect(),
            proxies: config.auth.trusted_proxies.iter().filter_map(|text| network(text)).collect(),
            config: config.clone(),
            sessions: Mutex::default(),
            rates: Mutex::default(),
            port: address.port(),
        }
    }

    /// How users are known.
    pub(super) fn mode(&self) -> AuthMode {
        self.config.auth.mode
    }

    /// Checks everything before a handler runs, and returns the user.
    pub(super) fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Identity, Problem> {
        self.check_host(headers, uri)?;
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        if !is_safe && *method != Method::POST {
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not used here")));
        }
        if !is_safe {
            check_content_type(headers)?;
        }
        let path = uri.path();
        if path == "/api/v1/login" {
            check_origin(headers, true)?;
            self.spend(&format!("login {}", peer.ip()), LOGINS)?;
            return Ok(Identity { name: String::new(), role: Role::Viewer });
        }
        let identity = self.identity(headers, peer.ip());
        // The page itself has no secrets, and shows the form for the token.
        if is_safe && !path.starts_with("/api/") {
            return Ok(identity.unwrap_or(Identity { name: String::new(), role: Role::Viewer }));
        }
        let identity = identity.ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "log in with the token that `http.auth.tokens` gives you")
        })?;
        if !is_safe {
            check_origin(headers, bearer(headers).is_some() || self.config.auth.mode == AuthMode::None)?;
            self.spend(&format!("write {}", identity.name), WRITES)?;
        }
        self.check_role(&identity, required(method, path))?;
        Ok(identity)
    }

    fn check_role(&self, identity: &Identity, required: Role) -> Result<(), Problem> {
        let capped = if self.config.read_only { Role::Viewer } else { identity.role };
        if capped >= required {
            return Ok(());
        }
        let role = format!("{required:?}").to_lowercase();
        let detail = match self.config.read_only {
            true => format!("this needs the role {role}, and `http.read_only` makes everyone a viewer"),
            false => format!("this needs the role {role}, and {} is {:?}", identity.name, identity.role),
        };
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    /// Refuses names that are not ours: a page elsewhere could otherwise point a name of its own at this address.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let host =
            headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(uri.host()).unwrap_or_default();
        let (name, port) = split_port(host);
        let is_listed =
            self.config.hosts.iter().any(|known| known.eq_ignore_ascii_case(name) || known == host);
        let bare = name.trim_matches(['[', ']']);
        let is_address = bare.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost");
        if is_listed || (is_address && port.is_none_or(|port| port == self.port)) {
            return Ok(());
        }
        let detail = format!("the host `{host}` is not known: add it to `http.hosts`");
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }

    /// The user of a request; `None` if it must log in first.
    fn identity(&self, headers: &HeaderMap, peer: IpAddr) -> Option<Identity> {
        match self.config.auth.mode {
            AuthMode::None => Some(Identity { name: "local".into(), role: self.cap(Role::Operator) }),
            AuthMode::Token => {
                let known = bearer(headers).and_then(|token| self.user_of(token));
                known.or_else(|| self.session(headers))
            }
            AuthMode::Proxy => self.proxied(headers, peer),
        }
        .map(|identity| Identity { role: self.cap(identity.role), ..identity })
    }

    fn cap(&self, role: Role) -> Role {
        if self.config.read_only { Role::Viewer } else { role }
    }

    fn user_of(&self, token: &str) -> Option<Identity> {
        let given = digest(token);
        // How long a comparison of digests takes tells nothing about the token.
        self.tokens.iter().find(|(known, _)| *known == given).map(|(_, user)| user.clone())
    }

    fn session(&self, headers: &HeaderMap) -> Option<Identity> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookie| cookie.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, id) = pairs.find(|(name, _)| *name == COOKIE)?;
        let sessions = self.sessions.lock();
        let (identity, since) = sessions.get(id)?;
        (since.elapsed() < SESSION).then(|| identity.clone())
    }

    fn proxied(&self, headers: &HeaderMap, peer: IpAddr) -> Option<Identity> {
        if !self.proxies.iter().any(|proxy| proxy.contains(&peer)) {
            return None;
        }
        let auth = &self.config.auth;
        let named = |header: &str, default: &'static str| {
            let header = if header.is_empty() { default } else { header };
            headers.get(header).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
        };
        let name = named(&auth.user_header, "x-forwarded-user").filter(|name| !name.is_empty())?;
        let groups = named(&auth.groups_header, "x-forwarded-groups").unwrap_or_default();
        let roles = groups.split(',').filter_map(|group| auth.roles.get(group.trim()));
        Some(Identity { name, role: roles.max().copied().unwrap_or_default() })
    }

    /// Exchanges a token for a cookie; `None` if no user has it.
    pub(super) fn log_in(&self, token: &str, is_tls: bool) -> Option<HeaderValue> {
        let identity = self.user_of(token)?;
        let id = hex::encode(rand::rng().random::<[u8; 32]>());
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, (_, since)| since.elapsed() < SESSION);
        sessions.insert(id.clone(), (identity, Instant::now()));
        let secure = if is_tls { "; Secure" } else { "" };
        let seconds = SESSION.as_secs();
        let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&cookie).ok()
    }

    /// Forgets the session of a request.
    pub(super) fn log_out(&self, headers: &HeaderMap) {
        let mut sessions = self.sessions.lock();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        for (_, id) in
            cookies.flat_map(|cookie| cookie.split(';')).filter_map(|pair| pair.trim().split_once('='))
        {
            sessions.remove(id);
        }
    }

    /// Counts one use of `what`, and refuses more than `most` of them in a window of time.
    fn spend(&self, what: &str, (most, window): (u32, Duration)) -> Result<(), Problem> {
        let mut rates = self.rates.lock();
        rates.retain(|_, (_, since)| since.elapsed() < LOGINS.1);
        let (used, since) = rates.entry(what.to_owned()).or_insert((0, Instant::now()));
        if since.elapsed() >= window {
            (*used, *since) = (0, Instant::now());
        }
        *used += 1;
        if *used <= most {
            return Ok(());
        }
        let wait = window.saturating_sub(since.elapsed()).as_secs() + 1;
        let detail = format!("more than {most} of these in {} s", window.as_secs());
        Err(Problem { status: StatusCode::TOO_MANY_REQUESTS, ..Problem::busy(detail, wait) })
    }
}

/// The lowest role that may send a request.
fn required(method: &Method, path: &str) -> Role {
    if *method != Method::POST {
        return Role::Viewer;
    }
    let rest = path.strip_prefix("/api/v1/").unwrap_or_default();
    let is_explanation = rest.starts_with("documents/") && rest.ends_with("/explain");
    match rest {
        "logout" | "predict" => Role::Viewer,
        _ if is_explanation => Role::Viewer,
        _ if rest == "corrections" || rest.starts_with("corrections/") => Role::Editor,
        _ => Role::Operator,
    }
}

/// `Content-Type: application/json` cannot be sent by a form of another page.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the content type is `{kind}`, but must be application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Refuses changes that another page asks for. What sends neither header is no browser, and needs a token, if
/// `is_trusted` is not set.
fn check_origin(headers: &HeaderMap, is_trusted: bool) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST);
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let is_same = match (headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()), origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => host == Some(origin),
        (None, None) => is_trusted,
    };
    let detail = "a change must come from this page, or with a token in `Authorization: Bearer`";
    is_same.then_some(()).ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, detail))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// `name:port`, where the name may be an address in brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests;
