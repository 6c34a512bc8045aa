//! librdkafka's errors: which kind they are, and whether they may pass.

use fenliu_engine::{Error, Kind};
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
    if kind == Kind::Unavailable { message.retryable() } else { message }
}

/// Whether brokers answer so until someone changes something; all else passes, or librdkafka mends it.
pub(super) fn kind_of(code: Code) -> Kind {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Kind::Denied,
        Code::MessageSizeTooLarge
        | Code::InvalidRecord
        | Code::InvalidTopic
        | Code::PolicyViolation
        | Code::InvalidTransactionTimeout
        | Code::UnsupportedForMessageFormat => Kind::Refused,
        _ => Kind::Unavailable,
    }
}

/// A refused property would be shown with its value, which may be a secret.
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
        ] {
            assert_eq!((error(code).kind(), error(code).is_retryable()), (kind, false), "{code}");
        }
        let away = error(Code::AllBrokersDown);
        assert_eq!((away.kind(), away.is_retryable()), (Kind::Unavailable, true));
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
