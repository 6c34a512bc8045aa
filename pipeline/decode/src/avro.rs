//! Avro messages (<https://avro.apache.org/docs/1.12.0/specification/>): what is around a datum ([`messages`]), and the
//! datum itself ([`datum`]).

mod container;
mod datum;
mod embedded;
mod messages;

pub(super) use self::messages::AvroMessages;

#[cfg(test)]
pub(crate) use self::datum::AvroSchema;
