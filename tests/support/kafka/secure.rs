//! Listeners of a broker that want TLS or a password, with the keys that go with them.
//!
//! Java's `keytool` makes the keys, so that a machine with a JVM lacks nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The user that the broker knows, by PLAIN and by SCRAM-SHA-256.
pub const USER: &str = "alice";

/// The user's password.
pub const PASSWORD: &str = "wonderland";

/// The scope that the broker wants to see in a token. It takes tokens without a signature: what is tested is the client.
pub const SCOPE: &str = "news";

/// Opens key stores.
pub const STORE_PASSWORD: &str = "changeit";

/// How many kinds of listeners there are.
pub(super) const LISTENERS: usize = 5;

/// The protocols of the listeners that are not named after theirs.
pub(super) const PROTOCOLS: &str = ",TOKEN:SASL_PLAINTEXT,MUTUAL:SSL";

/// What a listener asks of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TLS.
    Tls,
    /// A password, without TLS.
    Sasl,
    /// TLS and a password.
    SaslTls,
    /// A token, without TLS.
    Token,
    /// TLS, with a certificate of the client.
    MutualTls,
}

impl Listener {
    const ALL: [Listener; LISTENERS] =
        [Listener::Tls, Listener::Sasl, Listener::SaslTls, Listener::Token, Listener::MutualTls];

    /// Its name in the broker's configuration.
    fn name(self) -> &'static str {
        match self {
            Listener::Tls => "SSL",
            Listener::Sasl => "SASL_PLAINTEXT",
            Listener::SaslTls => "SASL_SSL",
            Listener::Token => "TOKEN",
            Listener::MutualTls => "MUTUAL",
        }
    }
}

/// Where the listeners of a broker are.
#[derive(Debug)]
pub struct Secure {
    ports: [u16; LISTENERS],
    authority: PathBuf,
    stranger: PathBuf,
    key: PathBuf,
}

impl Secure {
    /// Makes keys in `directory`; the listeners will be at `ports`.
    pub(super) fn make(directory: &Path, ports: [u16; LISTENERS]) -> Result<Self> {
        let authority = key_pair(directory, "broker")?;
        let stranger = key_pair(directory, "stranger")?;
        let key = directory.join("broker.p12");
        Ok(Secure { ports, authority, stranger, key })
    }

    /// `host:port` of a listener.
    #[must_use]
    pub fn address(&self, listener: Listener) -> String {
        format!("127.0.0.1:{}", self.ports[listener as usize])
    }

    /// The certificate that the broker's was signed with, in PEM.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// A certificate with its key that the listener for client certificates accepts, in PKCS #12, opened by
    /// [`STORE_PASSWORD`].
    #[must_use]
    pub fn client_key(&self) -> &Path {
        &self.key
    }

    /// A certificate that has nothing to do with the broker, in PEM.
    #[must_use]
    pub fn stranger(&self) -> &Path {
        &self.stranger
    }

    /// `,NAME://host:port` of each listener.
    pub(super) fn listeners(&self) -> String {
        Listener::ALL.iter().fold(String::new(), |mut list, listener| {
            let _ = write!(list, ",{}://{}", listener.name(), self.address(*listener));
            list
        })
    }

    /// Settings of the broker beside its listeners.
    pub(super) fn settings(&self) -> String {
        let store = self.key.as_path();
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let token = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
        let mut settings = format!(
            "listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.location={store}
listener.name.mutual.ssl.truststore.type=PKCS12
listener.name.mutual.ssl.truststore.password={STORE_PASSWORD}
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config={token} unsecuredLoginStringClaim_sub=\"broker\" unsecuredValidatorRequiredScope=\"{SCOPE}\";
ssl.keystore.location={store}
ssl.keystore.type=PKCS12
ssl.keystore.password={STORE_PASSWORD}
ssl.key.password={STORE_PASSWORD}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
",
            store = store.display()
        );
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            let _ = write!(
                settings,
                "listener.name.{listener}.plain.sasl.jaas.config={plain} user_{USER}=\"{PASSWORD}\";
listener.name.{listener}.scram-sha-256.sasl.jaas.config={scram}
"
            );
        }
        settings
    }

    /// What formatting the log directory needs so that the user is known by SCRAM.
    pub(super) fn scram_user() -> String {
        format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]")
    }
}

/// Makes a key pair `NAME.p12` with a certificate that it signs itself, and that certificate as `NAME.pem`.
fn key_pair(directory: &Path, name: &str) -> Result<PathBuf> {
    let (store, certificate) = (directory.join(format!("{name}.p12")), directory.join(format!("{name}.pem")));
    let store = store.to_string_lossy();
    let common = ["-alias", name, "-keystore", &store, "-storetype", "PKCS12", "-storepass", STORE_PASSWORD];
    let subject = format!("CN={name}");
    let pair = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30"];
    let names = ["-dname", &subject, "-ext", "SAN=dns:localhost,ip:127.0.0.1", "-ext", "BC=ca:true"];
    keytool(&[&pair[..], &names[..], &common[..]].concat())?;
    keytool(&[&["-exportcert", "-rfc", "-file", &certificate.to_string_lossy()][..], &common[..]].concat())?;
    Ok(certificate)
}

fn keytool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("keytool").args(arguments).output().context("keytool does not run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "keytool: {}\n{said}", output.status);
    Ok(())
}
