//! Headers of messages: read without trusting their names to be UTF-8, and written.
//!
//! Contract: order, repeated names and null values stay. Kafka's protocol requires names in UTF-8, but brokers do not
//! check that. What cannot be read of a name becomes U+FFFD: rdkafka's own accessor would panic, and a message of one
//! producer would stop the pipeline for good.

use std::ffi::CStr;
use std::ptr;

use fenliu_schemas::Header;
use rdkafka::bindings::{rd_kafka_header_cnt, rd_kafka_header_get_all, rd_kafka_headers_t};
use rdkafka::message::{self, BorrowedHeaders, BorrowedMessage, OwnedHeaders, OwnedMessage};
use rdkafka::{Message, types::RDKafkaRespErr};

/// The prefix of the names of headers that fenliu adds.
pub(super) const OWN_PREFIX: &str = "fenliu.";

/// A message whose headers can be read: one that librdkafka owns, or a copy.
pub(super) trait WithHeaders: Message {
    /// The headers, where it has any.
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders>;

    /// The headers, in order.
    fn header_list(&self) -> Vec<Header<'_>> {
        self.borrowed_headers().map(read).unwrap_or_default()
    }
}

impl WithHeaders for BorrowedMessage<'_> {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers()
    }
}

impl WithHeaders for OwnedMessage {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers().map(OwnedHeaders::as_borrowed)
    }
}

/// The headers of a message, in order.
pub fn headers_of<'a>(message: &'a BorrowedMessage<'_>) -> Vec<Header<'a>> {
    message.header_list()
}

fn read(headers: &BorrowedHeaders) -> Vec<Header<'_>> {
    let native = ptr::from_ref(headers).cast::<rd_kafka_headers_t>();
    // SAFETY: a `BorrowedHeaders` is librdkafka's list of headers under another name, which lives as long as it.
    let count = unsafe { rd_kafka_header_cnt(native) };
    (0..count).filter_map(|index| read_one(headers, index)).collect()
}

fn read_one(headers: &BorrowedHeaders, index: usize) -> Option<Header<'_>> {
    let native = ptr::from_ref(headers).cast::<rd_kafka_headers_t>();
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: as in `read`; the three places are there to be written to.
    let code = unsafe { rd_kafka_header_get_all(native, index, &mut name, &mut value, &mut length) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: librdkafka ends names with a zero byte, and both name and value are part of the list.
    let (name, value) = unsafe {
        let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), length));
        (CStr::from_ptr(name), value)
    };
    Some((name.to_string_lossy(), value))
}

/// `headers` with one more.
pub fn header(headers: OwnedHeaders, name: &str, value: Option<&[u8]>) -> OwnedHeaders {
    headers.insert(message::Header { key: name, value })
}

/// The headers of a message without those that fenliu added to it.
pub fn without_own<'a>(headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> OwnedHeaders {
    let others = headers.into_iter().filter(|(name, _)| !name.starts_with(OWN_PREFIX));
    others.fold(OwnedHeaders::new(), |all, (name, value)| header(all, name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;

    fn message(headers: OwnedHeaders) -> OwnedMessage {
        let timestamp = Timestamp::NotAvailable;
        OwnedMessage::new(None, None, "news".into(), timestamp, 0, 0, Some(headers))
    }

    #[test]
    fn order_repeated_names_and_null_values_stay() {
        let sent = [("b", Some(b"\xff".as_slice())), ("a", None), ("b", Some(b""))];
        let message = message(without_own(sent));
        let read: Vec<_> = message.header_list();
        assert_eq!(read.iter().map(|(name, value)| (name.as_ref(), *value)).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn headers_of_fenliu_are_left_out() {
        let sent =
            [("fenliu.topic", Some(b"x".as_slice())), ("fenliu", None), ("fenliu.replayed_from", None)];
        assert_eq!(message(without_own(sent)).header_list(), [("fenliu".into(), None)]);
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_read_all_the_same() {
        let headers = OwnedHeaders::new();
        let native = ptr::from_ref(headers.as_borrowed()).cast_mut().cast::<rd_kafka_headers_t>();
        let name = c"caf\xe9";
        let (name, length) = (name.as_ptr(), name.count_bytes() as isize);
        // SAFETY: name and value are there for as long as the call, which copies them.
        unsafe { rdkafka::bindings::rd_kafka_header_add(native, name, length, c"v".as_ptr().cast(), 1) };
        assert_eq!(message(headers).header_list(), [("caf\u{fffd}".into(), Some(b"v".as_slice()))]);
    }
}
