//! Where a redirect leads, and whether that is still the hub.

use ureq::http::Uri;

use super::failure::Failure;

/// The address of a request: scheme, host and path.
pub(super) fn address(text: &str) -> Result<Uri, Failure> {
    let uri: Uri =
        text.parse().map_err(|error| Failure::unusable(format!("`{text}` is no address: {error}")))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(Failure::unusable(format!("`{text}` does not begin with https:// or http:// and a host"))),
    }
}

/// The address that the header `Location` with the value `location` means in an answer from `from` (RFC 9110,
/// section 10.2.2).
pub(super) fn target(from: &Uri, location: &str) -> Result<Uri, Failure> {
    let location = location.split_once('#').map_or(location, |(address, _)| address);
    let scheme = from.scheme_str().unwrap_or_default();
    let host = from.authority().map_or("", |authority| authority.as_str());
    if location.starts_with("//") {
        return address(&format!("{scheme}:{location}"));
    }
    if location.starts_with('/') {
        return address(&format!("{scheme}://{host}{location}"));
    }
    if location.contains("://") {
        return address(location);
    }
    let (directory, _) = from.path().rsplit_once('/').unwrap_or_default();
    address(&format!("{scheme}://{host}{directory}/{location}"))
}

/// Whether both addresses have the same scheme, host and port. Only then may one see the token that is for the other.
pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one) == origin(other)
}

fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let default = match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    };
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), uri.port_u16().or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_relative_to_the_address_that_gave_it() {
        let from = address("https://hub.example:8/a/b?c=d").unwrap();
        for (location, expected) in [
            ("https://other.example/x?y=z#w", "https://other.example/x?y=z"),
            ("//other.example/x", "https://other.example/x"),
            ("/x?y", "https://hub.example:8/x?y"),
            ("x", "https://hub.example:8/a/x"),
        ] {
            assert_eq!(target(&from, location).unwrap().to_string(), expected);
        }
        assert!(target(&from, "ftp://other.example/x").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |one: &str, other: &str| same_origin(&address(one).unwrap(), &address(other).unwrap());
        assert!(same("https://a/x", "https://A:443/y"));
        for other in ["http://a", "https://a:8443", "https://b", "https://a.b", "http://a:443"] {
            assert!(!same("https://a", other), "{other}");
        }
    }
}
