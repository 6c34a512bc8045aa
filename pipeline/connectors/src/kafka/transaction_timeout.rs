//! A `transaction.timeout.ms` that the brokers refuse.

use std::time::Duration;

use fenliu_engine::{Error, Kind};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;

use crate::runtime;

/// How long the brokers may take to report their bound. Without their answer, the error does not name it.
const LIMIT: Duration = Duration::from_secs(3);

/// The brokers' setting that bounds it.
const BOUND: &str = "transaction.max.timeout.ms";

/// The error of a producer of `client` whose time-out was refused, with the value and the bound of the brokers. It
/// stays refused until one of the two is changed.
pub(super) fn refused(client: &ClientConfig, error: KafkaError) -> Error {
    let value = client.get("transaction.timeout.ms").unwrap_or("unknown");
    let bound = bound_of_brokers(client).map_or(String::new(), |bound| format!(", which is {bound}"));
    Error::new(Kind::Refused, "kafka: the brokers refuse `transaction.timeout.ms`")
        .with("transaction.timeout.ms", value)
        .with_source(error)
        .remedy(format!(
            "set `kafka.properties.\"transaction.timeout.ms\"` to at most `{BOUND}` of the brokers{bound}"
        ))
}

/// The bound of the brokers; `None` if they do not report it, perhaps because this user may not read it.
fn bound_of_brokers(client: &ClientConfig) -> Option<String> {
    let mut client = client.clone();
    // A client for questions only: without the refused properties, and without log lines of a connection that is tried
    // once.
    client.remove("transactional.id").remove("transaction.timeout.ms").set("log_level", "0");
    let admin: AdminClient<DefaultClientContext> = client.create().ok()?;
    let metadata = admin.inner().fetch_metadata(None, LIMIT).ok()?;
    let broker = ResourceSpecifier::Broker(metadata.brokers().first()?.id());
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    let answers = runtime::handle().ok()?.block_on(admin.describe_configs([&broker], &options)).ok()?;
    let settings = answers.into_iter().next()?.ok()?;
    settings.entries.into_iter().find(|setting| setting.name == BOUND)?.value
}
