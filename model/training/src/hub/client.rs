//! Requests to the hub: the token, redirects, and what a status means.

use std::time::Duration;

use fenliu_model::HubCause;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{Method, Request, Uri, header};
use ureq::{Agent, Body, ResponseExt};

use super::attempts::Attempts;
use super::failure::Failure;
use super::options::{HubOptions, Token};
use super::redirect::{address, same_origin, target};
use super::reference::Reference;

/// Address and size of a file are in these headers if its content is elsewhere.
pub(super) const LINKED_ETAG: &str = "X-Linked-Etag";
pub(super) const LINKED_SIZE: &str = "X-Linked-Size";
/// Tells a repository that does not exist from a revision that does not.
const ERROR_CODE: &str = "X-Error-Code";
const MAX_REDIRECTS: u32 = 10;
/// Longest time to connect, and to wait for the beginning of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest time without a single byte. The download then continues with a new connection.
const SILENCE: Duration = Duration::from_secs(30);
/// Characters that are percent-encoded in a segment of a path (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An answer whose body has not been read.
pub(super) type Response = ureq::http::Response<Body>;

/// What is asked of an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// The headers of a file at the place where its `ETag` is.
    Headers,
    /// The content from this byte on.
    Content(u64),
}

/// Sends requests about one repository.
pub(super) struct Client<'a> {
    agent: Agent,
    endpoint: Uri,
    token: Option<&'a Token>,
    base: &'a str,
    pause: Duration,
    reference: &'a Reference,
}

impl<'a> Client<'a> {
    /// A client for the hub of `options`. It does not connect yet.
    pub(super) fn try_new(options: &'a HubOptions, reference: &'a Reference) -> Result<Self, Failure> {
        let endpoint = address(&options.endpoint).map_err(|failure| failure.with(" (`HF_ENDPOINT`)"))?;
        check_scheme(&endpoint)?;
        let (base, token) = (options.endpoint.as_str(), options.token.as_ref());
        Ok(Self { agent: agent(options), endpoint, token, base, pause: options.pause, reference })
    }

    /// The address of the list of files of the reference.
    pub(super) fn listing_url(&self) -> String {
        let (base, repository, revision) =
            (self.base, self.reference.repository(), encoded(self.reference.revision()));
        format!("{base}/api/models/{repository}/revision/{revision}?blobs=true")
    }

    /// The address of a file at a commit.
    pub(super) fn file_url(&self, commit: &str, file: &str) -> String {
        let path: Vec<String> = file.split('/').map(encoded).collect();
        format!("{}/{}/resolve/{commit}/{}", self.base, self.reference.repository(), path.join("/"))
    }

    /// The attempts of a request.
    pub(super) fn attempts(&self) -> Attempts {
        Attempts::new(self.pause)
    }

    /// Sends one request and follows redirects. The answer is a successful one.
    pub(super) fn once(&self, ask: Ask, url: &str) -> Result<Response, Failure> {
        let mut uri = address(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(ask, &uri)?;
            let is_answer = matches!(ask, Ask::Headers) && response.headers().contains_key(LINKED_ETAG);
            if response.status().is_success() || (response.status().is_redirection() && is_answer) {
                return Ok(response);
            }
            let location = header_text(&response, header::LOCATION.as_str());
            uri = match location.filter(|_| response.status().is_redirection()) {
                Some(location) => target(&uri, location)?,
                None => return Err(self.failure(&response)),
            };
        }
        Err(Failure::unusable(format!("the hub answers with more than {MAX_REDIRECTS} redirects in a row")))
    }

    fn send(&self, ask: Ask, uri: &Uri) -> Result<Response, Failure> {
        check_scheme(uri)?;
        let (method, from) = match ask {
            Ask::Headers => (Method::HEAD, 0),
            Ask::Content(from) => (Method::GET, from),
        };
        // Sizes and digests are those of the content itself.
        let mut request =
            Request::builder().method(method).uri(uri).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = self.token.filter(|_| same_origin(uri, &self.endpoint)) {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request = request.body(()).map_err(|error| Failure::unusable(invalid_request(&error)))?;
        self.agent.run(request).map_err(|error| transport(&error, uri))
    }

    /// Why an answer is not a successful one.
    fn failure(&self, response: &Response) -> Failure {
        let (status, uri) = (response.status().as_u16(), response.get_uri());
        let what = format!("{} answers with the HTTP status {status}", host(uri));
        match status {
            // The storage accepts an address for a while only. The hub gives a new one.
            401 | 403 if !same_origin(uri, &self.endpoint) => Failure::passing(what),
            401 | 403 => Failure::Lasting { cause: HubCause::Denied, problem: self.denied(response, &what) },
            404 | 410 => Failure::absent(self.missing(response)),
            408 | 429 | 500.. => Failure::Passing { problem: what, wait: retry_after(response) },
            _ => Failure::unusable(format!("{what}: is `{}` the address of a model hub?", self.base)),
        }
    }

    fn denied(&self, response: &Response, what: &str) -> String {
        let (base, repository) = (self.base, self.reference.repository());
        let is_gated = header_text(response, ERROR_CODE) == Some("GatedRepo") || response.status() == 403;
        let token = format!("set HF_TOKEN to a token of {base}/settings/tokens");
        match (self.token.is_some(), is_gated) {
            (false, false) => format!("{what}: {repository} is private or gated, or does not exist; {token}"),
            (false, true) => {
                format!(
                    "{what}: {repository} is gated; accept its licence at {base}/{repository}, and {token}"
                )
            }
            (true, true) => format!(
                "{what}: the owner of the token may not read {repository}; accept its licence at {base}/{repository} \
                 or ask its owner"
            ),
            (true, false) => format!(
                "{what}: the token is not valid, or its owner may not read {repository}, or that does not exist; \
                 {token}"
            ),
        }
    }

    fn missing(&self, response: &Response) -> String {
        let (base, repository, revision) =
            (self.base, self.reference.repository(), self.reference.revision());
        match header_text(response, ERROR_CODE) {
            Some("RevisionNotFound") => format!("{base}/{repository} has no revision `{revision}`"),
            Some("RepoNotFound") => format!("there is no repository {repository} at {base}"),
            _ => format!("there is no repository {repository} with a revision `{revision}` at {base}"),
        }
    }
}

fn agent(options: &HubOptions) -> Agent {
    let agent = Agent::config_builder()
        .timeout_connect(Some(ANSWER))
        .timeout_recv_response(Some(ANSWER))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        // `Client` follows them, since it must see their headers and keep the token from other hosts.
        .max_redirects(0)
        .user_agent("fenliu");
    let agent = if options.proxies { agent } else { agent.proxy(None) };
    #[cfg(feature = "tls")]
    let agent = agent.tls_config(
        ureq::tls::TlsConfig::builder()
            .provider(ureq::tls::TlsProvider::NativeTls)
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build(),
    );
    agent.build().into()
}

/// Refuses https in a build that cannot speak it.
fn check_scheme(uri: &Uri) -> Result<(), Failure> {
    if cfg!(feature = "tls") || uri.scheme_str() != Some("https") {
        return Ok(());
    }
    let problem = format!(
        "https://{} needs TLS, but fenliu was built without the feature `tls`; build it with that, let HF_ENDPOINT name \
         a mirror with http://, or download the files and import their directory",
        host(uri)
    );
    Err(Failure::Lasting { cause: HubCause::Usage, problem })
}

/// Why there was no answer. The address is not named, since that of a storage can contain a signature that gives access.
fn transport(error: &ureq::Error, uri: &Uri) -> Failure {
    let problem = format!("no answer from {}: {error}", host(uri));
    match error {
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Failure::passing(problem),
        ureq::Error::HostNotFound => Failure::passing(format!(
            "{problem}; is there a network? HF_HUB_OFFLINE=1 uses what is in the cache"
        )),
        _ => Failure::Lasting { cause: HubCause::Unavailable, problem },
    }
}

fn invalid_request(error: &ureq::http::Error) -> String {
    format!("the request is invalid ({error}); is there a character in HF_TOKEN that no token has?")
}

/// The text of a header.
pub(super) fn header_text<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The seconds that the header `Retry-After` names. (It could also name a time; then the usual pause is made.)
fn retry_after(response: &Response) -> Option<Duration> {
    header_text(response, header::RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default()
}

fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, RESERVED).to_string()
}
