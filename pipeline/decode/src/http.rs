//! The HTTP client for small questions: a schema of a registry, a token.

use std::time::Duration;

use ureq::Agent;

/// A client whose requests end after `timeout` at the latest. An answer with an error status is an answer like any
/// other, because its body says more than the status.
pub fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .user_agent("fenliu");
    #[cfg(feature = "tls")]
    let config = config.tls_config(
        ureq::tls::TlsConfig::builder()
            .provider(ureq::tls::TlsProvider::NativeTls)
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build(),
    );
    config.build().into()
}
