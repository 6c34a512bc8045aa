//! librdkafka's errors: which kind they are, and whether they may pass.

use std::time::{Duration, Instant};

use fenliu_engine::{Error, Kind, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A `map_err` adapter for Kafka calls: `kafka: cannot ACTION: REASON`.
pub(super) fn failed(action: impl Into<String>) -> impl FnOnce(KafkaError) -> Error {
    let action = action.into();
    move |error| of(&action, error)
}

/// The error of a call that was to do `action`.
pub(super) fn of(action: &str, error: KafkaError) -> Error {
    let kind = match &error {
        KafkaError::ClientConfig(..) => Kind::Usage,
        other => other.rdkafka_error_code().map_or(Kind::Unavailable, kind_of),
    };
    let message = Error::new(kind, format!("kafka: cannot {action}")).with_source(without_value(error));
    if may_pass(kind) { message.retryable() } else { message }
}

/// Whether an error of this kind may pass by itself. An unknown topic may: it may be created, or the brokers may not
/// have heard of it yet. [`UnknownTopic`] bounds how long that is retried.
pub(super) fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Unavailable | Kind::NotFound)
}

/// The kind of an error. Codes that stay until someone changes something are listed; all others are taken for
/// temporary, since brokers or librdkafka recover from them.
pub(super) fn kind_of(code: Code) -> Kind {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Kind::Denied,
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidRequiredAcks
        | Code::UnsupportedCompressionType
        | Code::InvalidTopic
        | Code::PolicyViolation
        | Code::InvalidTransactionTimeout
        | Code::UnsupportedForMessageFormat => Kind::Refused,
        Code::UnknownTopicOrPartition | Code::UnknownTopic => Kind::NotFound,
        _ => Kind::Unavailable,
    }
}

/// What the user can do about a message that was refused with `code`; empty where nothing is known.
pub(super) fn advice(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::InvalidRecord) => {
            "; a compacted topic (`cleanup.policy=compact`) takes no message without a key: give every message a key, \
             or send to a topic with `cleanup.policy=delete`"
        }
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => {
            "; `max.message.bytes` of the topic is the bound"
        }
        Some(Code::InvalidTimestamp) => {
            "; `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` of the topic are the bounds"
        }
        Some(Code::UnsupportedCompressionType) => {
            "; set another `compression.codec` in the sink's properties"
        }
        Some(Code::TopicAuthorizationFailed) => "; the user needs the right to WRITE to the topic",
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => "; create the topic",
        _ => "",
    }
}

/// How long writing to a topic that does not exist is retried: it may be about to be created, or known to some brokers
/// only.
const UNKNOWN_TOPIC_LIMIT: Duration = Duration::from_secs(300);

/// Bounds the tries to write to a topic that does not exist.
#[derive(Debug, Default)]
pub(super) struct UnknownTopic {
    since: Option<Instant>,
}

impl UnknownTopic {
    /// The `outcome` of an attempt at `now`: the error for an unknown topic becomes permanent once it has come for five
    /// minutes without a success in between.
    pub(super) fn judge(&mut self, now: Instant, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if error.kind() == Kind::NotFound => {
                let since = *self.since.get_or_insert(now);
                let is_over = now.saturating_duration_since(since) >= UNKNOWN_TOPIC_LIMIT;
                Err(if is_over { error.permanent() } else { error })
            }
            other => {
                self.since = None;
                other
            }
        }
    }
}

/// Hides the value of a refused property, which may be a secret.
fn without_value(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::ClientConfig(code, reason, key, _) => {
            KafkaError::ClientConfig(code, reason, key, "(value not shown)".into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brokers_refuse_for_good_is_not_tried_again() {
        let error = |code| of("send a message", KafkaError::MessageProduction(code));
        for (code, kind) in [
            (Code::TopicAuthorizationFailed, Kind::Denied),
            (Code::MessageSizeTooLarge, Kind::Refused),
            (Code::InvalidTransactionTimeout, Kind::Refused),
            (Code::InvalidRecord, Kind::Refused),
            (Code::MessageBatchTooLarge, Kind::Refused),
            (Code::InvalidTimestamp, Kind::Refused),
            (Code::PolicyViolation, Kind::Refused),
        ] {
            assert_eq!((error(code).kind(), error(code).is_retryable()), (kind, false), "{code}");
        }
        let away = error(Code::AllBrokersDown);
        assert_eq!((away.kind(), away.is_retryable()), (Kind::Unavailable, true));
    }

    #[test]
    fn what_brokers_recover_from_is_tried_again() {
        for code in [
            Code::MessageTimedOut,
            Code::BrokerTransportFailure,
            Code::NotEnoughReplicas,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::RequestTimedOut,
            Code::KafkaStorageError,
            Code::UnknownTopicOrPartition,
        ] {
            assert!(of("send a message", KafkaError::MessageProduction(code)).is_retryable(), "{code}");
        }
    }

    #[test]
    fn a_topic_that_does_not_exist_is_waited_for_five_minutes() {
        let mut patience = UnknownTopic::default();
        let failure = || Err(of("send", KafkaError::MessageProduction(Code::UnknownTopicOrPartition)));
        let start = Instant::now();
        assert!(patience.judge(start, failure()).unwrap_err().is_retryable());
        assert!(patience.judge(start + Duration::from_secs(200), failure()).unwrap_err().is_retryable());
        assert!(!patience.judge(start + UNKNOWN_TOPIC_LIMIT, failure()).unwrap_err().is_retryable());
        patience.judge(start + UNKNOWN_TOPIC_LIMIT, Ok(())).unwrap();
        assert!(patience.judge(start + UNKNOWN_TOPIC_LIMIT, failure()).unwrap_err().is_retryable());
    }

    #[test]
    fn the_value_of_a_property_is_not_shown() {
        let mut client = rdkafka::ClientConfig::new();
        client.set("sasl.mechanism.of.mine", "s3cret");
        let error = client.create::<rdkafka::consumer::BaseConsumer>().err().unwrap();
        let error = of("make a consumer", error);
        assert_eq!(error.kind(), Kind::Usage);
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
