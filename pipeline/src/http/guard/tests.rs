use std::collections::BTreeMap;

use super::*;
use crate::config::{AuthConfig, TokenConfig};

const TOKEN: &str = "0123456789abcdef-editor";
const PEER: ([u8; 4], u16) = ([10, 1, 2, 3], 5000);

/// A request, as the columns of the tables below have it.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

const JSON: (&str, &str) = ("content-type", "application/json");
const HERE: (&str, &str) = ("host", "127.0.0.1:9463");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

fn guard(change: impl FnOnce(&mut HttpConfig)) -> Guard {
    let mut config = HttpConfig { listen: "127.0.0.1:9463".into(), ..HttpConfig::default() };
    change(&mut config);
    Guard::new(&config, "127.0.0.1:9463".parse().unwrap())
}

fn ask(guard: &Guard, ask: Ask<'_>) -> Result<Identity, u16> {
    let mut headers = HeaderMap::new();
    for (name, value) in ask.headers {
        headers.append(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let method: Method = ask.method.parse().unwrap();
    let uri: Uri = ask.path.parse().unwrap();
    guard.admit(&method, &uri, &headers, SocketAddr::from(PEER)).map_err(|problem| problem.status.as_u16())
}

fn status(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    ask(guard, Ask { method, path, headers }).map_or_else(|status| status, |_| 200)
}

#[test]
fn hosts_methods_and_origins() {
    let open = guard(|config| config.hosts = vec!["news.example".into()]);
    let corrections = "/api/v1/corrections";
    for (method, path, headers, expected) in [
        ("GET", "/api/v1/status", &[HERE][..], 200),
        ("GET", "/api/v1/status", &[("host", "localhost:9463")], 200),
        ("GET", "/api/v1/status", &[("host", "[::1]:9463")], 200),
        ("GET", "/api/v1/status", &[("host", "news.example")], 200),
        // A name that someone points at this address.
        ("GET", "/api/v1/status", &[("host", "evil.example:9463")], 421),
        ("GET", "/", &[("host", "evil.example:9463")], 421),
        ("GET", "/api/v1/status", &[("host", "127.0.0.1:80")], 421),
        ("GET", "/api/v1/status", &[], 421),
        ("DELETE", corrections, &[HERE, JSON, SAME], 405),
        ("PUT", corrections, &[HERE, JSON, SAME], 405),
        ("PATCH", "/", &[HERE, JSON, SAME], 405),
        ("OPTIONS", corrections, &[HERE], 405),
        ("BREW", corrections, &[HERE, JSON, SAME], 405),
        ("POST", corrections, &[HERE, JSON, SAME], 200),
        ("POST", corrections, &[HERE, JSON, ("sec-fetch-site", "none")], 200),
        ("POST", corrections, &[HERE, JSON, ("sec-fetch-site", "cross-site")], 403),
        ("POST", corrections, &[HERE, JSON, ("sec-fetch-site", "same-site")], 403),
        ("POST", corrections, &[HERE, JSON, ("origin", "http://127.0.0.1:9463")], 200),
        ("POST", corrections, &[HERE, JSON, ("origin", "http://127.0.0.1:80")], 403),
        ("POST", corrections, &[HERE, JSON, ("origin", "null")], 403),
        // Without either header it is no browser.
        ("POST", corrections, &[HERE, JSON], 200),
        ("POST", corrections, &[HERE, SAME, ("content-type", "text/plain")], 415),
        ("POST", corrections, &[HERE, SAME, ("content-type", "application/x-www-form-urlencoded")], 415),
        ("POST", corrections, &[HERE, SAME], 415),
        ("POST", corrections, &[HERE, SAME, ("content-type", "application/json; charset=utf-8")], 200),
    ] {
        assert_eq!(status(&open, method, path, headers), expected, "{method} {path} {headers:?}");
    }
}

fn with_tokens(read_only: bool) -> Guard {
    guard(|config| {
        config.read_only = read_only;
        config.auth.mode = AuthMode::Token;
        config.auth.tokens = [("vi", Role::Viewer), ("ed", Role::Editor), ("op", Role::Operator)]
            .map(|(name, role)| TokenConfig {
                name: name.into(),
                role,
                token: format!("token-of-{name}-0123456789"),
            })
            .to_vec();
    })
}

#[test]
fn each_role_may_do_what_the_table_says() {
    let paths = [
        ("GET", "/api/v1/status", [200, 200, 200]),
        ("GET", "/api/v1/documents", [200, 200, 200]),
        ("GET", "/api/v1/nothing", [200, 200, 200]),
        ("POST", "/api/v1/predict", [200, 200, 200]),
        ("POST", "/api/v1/documents/news/0/1/explain", [200, 200, 200]),
        ("POST", "/api/v1/logout", [200, 200, 200]),
        ("POST", "/api/v1/corrections", [403, 200, 200]),
        ("POST", "/api/v1/corrections/01J/withdraw", [403, 200, 200]),
        ("POST", "/api/v1/models/promote", [403, 403, 200]),
        ("POST", "/api/v1/models/rollback", [403, 403, 200]),
        ("POST", "/api/v1/jobs", [403, 403, 200]),
        // What is on no list needs the highest role.
        ("POST", "/api/v1/anything", [403, 403, 200]),
        ("POST", "/metrics", [403, 403, 200]),
    ];
    let guards = [with_tokens(false), with_tokens(true)];
    for (method, path, expected) in paths {
        for (name, expected) in ["vi", "ed", "op"].into_iter().zip(expected) {
            let bearer = format!("Bearer token-of-{name}-0123456789");
            let headers = [HERE, JSON, ("authorization", bearer.as_str())];
            assert_eq!(status(&guards[0], method, path, &headers), expected, "{name} {method} {path}");
            let viewers = if required(&method.parse().unwrap(), path) == Role::Viewer { 200 } else { 403 };
            assert_eq!(
                status(&guards[1], method, path, &headers),
                viewers,
                "read only: {name} {method} {path}"
            );
        }
        for headers in [&[HERE, JSON, SAME][..], &[HERE, JSON, SAME, ("authorization", "Bearer guess")]] {
            assert_eq!(status(&guards[0], method, path, headers), 401, "without a token: {method} {path}");
        }
    }
    assert_eq!(status(&guards[0], "GET", "/", &[HERE]), 200, "the page with the form for the token");
}

#[test]
fn a_token_becomes_a_cookie_that_works_from_the_same_page_only() {
    let guard = guard(|config| {
        config.auth.mode = AuthMode::Token;
        config.auth.tokens =
            vec![TokenConfig { name: "ada".into(), role: Role::Editor, token: TOKEN.into() }];
    });
    assert_eq!(guard.log_in("0123456789abcdef-editos", false), None);
    let cookie = guard.log_in(TOKEN, true).unwrap();
    let text = cookie.to_str().unwrap();
    assert!(text.contains("HttpOnly; SameSite=Strict") && text.ends_with("; Secure"), "{text}");
    let pair = text.split(';').next().unwrap();
    let headers = [HERE, JSON, SAME, ("cookie", pair)];
    let path = "/api/v1/corrections";
    let identity = ask(&guard, Ask { method: "POST", path, headers: &headers }).unwrap();
    assert_eq!(identity, Identity { name: "ada".into(), role: Role::Editor });
    // A cookie alone, without the headers of a browser, is not enough for a change.
    assert_eq!(status(&guard, "POST", path, &[HERE, JSON, ("cookie", pair)]), 403);
    let mut map = HeaderMap::new();
    map.insert(header::COOKIE, pair.parse().unwrap());
    guard.log_out(&map);
    assert_eq!(status(&guard, "POST", path, &headers), 401);
}

#[test]
fn headers_of_a_proxy_are_believed_from_its_address_only() {
    let of = |proxies: &[&str]| {
        guard(|config| {
            config.auth = AuthConfig {
                mode: AuthMode::Proxy,
                roles: BTreeMap::from([("desk".into(), Role::Editor), ("sre".into(), Role::Operator)]),
                trusted_proxies: proxies.iter().map(ToString::to_string).collect(),
                ..AuthConfig::default()
            }
        })
    };
    let headers = [HERE, ("x-forwarded-user", "ada"), ("x-forwarded-groups", "staff, desk")];
    let request = Ask { method: "GET", path: "/api/v1/status", headers: &headers };
    let ada = Identity { name: "ada".into(), role: Role::Editor };
    assert_eq!(ask(&of(&["10.0.0.0/8"]), request), Ok(ada.clone()));
    assert_eq!(ask(&of(&["10.1.2.3"]), request), Ok(ada));
    assert_eq!(ask(&of(&["10.1.2.4", "192.168.0.0/16"]), request), Err(401));
    let nobody = Ask { headers: &[HERE], ..request };
    assert_eq!(ask(&of(&["10.0.0.0/8"]), nobody), Err(401));
}

#[test]
fn guesses_and_changes_are_limited() {
    let guard = with_tokens(false);
    let login = || status(&guard, "POST", "/api/v1/login", &[HERE, JSON, SAME]);
    assert_eq!((0..6).map(|_| login()).collect::<Vec<_>>(), [200, 200, 200, 200, 200, 429]);
    let headers = [HERE, JSON, ("authorization", "Bearer token-of-ed-0123456789")];
    let writes: Vec<u16> =
        (0..101).map(|_| status(&guard, "POST", "/api/v1/corrections", &headers)).collect();
    assert!(writes[..100].iter().all(|status| *status == 200));
    assert_eq!(writes[100], 429);
}
