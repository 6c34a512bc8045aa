//! Questions to a cluster for which `rdkafka` has no call: the ids of topics (KIP-516) and their configuration.
//!
//! Contract: apart from this file, only [`headers`](super::headers) has unsafe code in the connectors. A request is
//! sent at once, and its answer comes to a queue of its own, so that the caller can look for it later. Every wait has a
//! bound.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::{RDKafka, RDKafkaRespErr};

use super::client::REQUEST_TIMEOUT;

/// The id that brokers report which have none (before KIP-516): sixteen zero bytes in base64.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// An answer by topic, or the reason why there is none.
pub(super) type Answer<T> = Result<BTreeMap<String, T>, String>;

/// The ids of those `topics` that exist and have one. Asks `broker`, or the controller if that is `None`.
pub(super) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    broker: Option<i32>,
) -> Answer<String> {
    // The queue is gone before the borrow of the client ends.
    let queue = ask_topic_ids(client.native_ptr(), topics, broker)?;
    ids_in(&queue.wait(REQUEST_TIMEOUT)?)
}

/// The value of the setting `name` of each of `topics` whose configuration may be read.
pub(super) fn settings<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    name: &str,
    broker: Option<i32>,
) -> Answer<String> {
    let queue = ask_settings(client.native_ptr(), topics, broker)?;
    settings_in(&queue.wait(REQUEST_TIMEOUT)?, name)
}

/// A request for the ids of topics that was sent.
pub(super) struct TopicIdRequest {
    queue: Queue,
    sent_at: Instant,
    /// Keeps the client alive: librdkafka requires that a queue is destroyed before its client. Fields are dropped in
    /// the order of their declaration.
    _consumer: Arc<dyn Any + Send + Sync>,
}

impl TopicIdRequest {
    /// Asks, and does not wait.
    pub(super) fn send<C: ConsumerContext + 'static>(
        consumer: &Arc<BaseConsumer<C>>,
        topics: &[String],
        broker: Option<i32>,
    ) -> Result<Self, String> {
        let queue = ask_topic_ids(consumer.client().native_ptr(), topics, broker)?;
        let consumer: Arc<BaseConsumer<C>> = Arc::clone(consumer);
        Ok(TopicIdRequest { queue, sent_at: Instant::now(), _consumer: consumer })
    }

    /// The answer, if it has come; librdkafka gives one after its time-out at the latest.
    pub(super) fn answer(&self) -> Option<Answer<String>> {
        match self.queue.poll(Duration::ZERO) {
            Some(event) => Some(ids_in(&event)),
            None if self.sent_at.elapsed() > REQUEST_TIMEOUT * 2 => Some(Err("no answer".into())),
            None => None,
        }
    }
}

/// The offset after the last message of a partition, as the last answer to a fetch had it; `None` before the first one.
/// Asks no broker.
pub(super) fn cached_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: the client and the name live over the call, which writes two numbers.
    let code = unsafe {
        native::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The metadata that is stored with each committed offset of `list`, in its order.
pub(super) fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // SAFETY: the pointer is that of a list that lives as long as the borrow; it has `cnt` elements at `elems`.
    let elements = unsafe {
        let list = &*list.ptr();
        items(list.elems, usize::try_from(list.cnt).unwrap_or(0))
    };
    // SAFETY: librdkafka keeps `metadata_size` bytes at `metadata`, which is null where there are none.
    elements.iter().map(|e| unsafe { items(e.metadata.cast::<u8>(), e.metadata_size) }.to_vec()).collect()
}

/// Where the answer to a request comes.
struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: librdkafka locks its queues; any thread may use them.
unsafe impl Send for Queue {}

impl Queue {
    fn new(client: *mut RDKafka) -> Result<Self, String> {
        // SAFETY: `client` is a client that lives; all callers hold it.
        let queue = unsafe { native::rd_kafka_queue_new(client) };
        NonNull::new(queue).map(Queue).ok_or_else(|| "librdkafka gives no queue".into())
    }

    fn poll(&self, patience: Duration) -> Option<Event> {
        let millis = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue lives until it is dropped.
        NonNull::new(unsafe { native::rd_kafka_queue_poll(self.0.as_ptr(), millis) }).map(Event)
    }

    fn wait(&self, patience: Duration) -> Result<Event, String> {
        // librdkafka reports its own time-out as an answer, after `REQUEST_TIMEOUT` (see `Options`). The second more
        // lets that answer arrive.
        self.poll(patience + Duration::from_secs(1)).ok_or_else(|| "no answer".into())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it was made by `new`, and nothing uses it any more. An answer that comes later is thrown away.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// What came out of a queue.
struct Event(NonNull<native::rd_kafka_event_t>);

impl Event {
    fn as_ptr(&self) -> *mut native::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// That the request succeeded as a whole.
    fn check(&self) -> Result<(), String> {
        // SAFETY: the event lives until it is dropped; its text lives as long.
        unsafe {
            match native::rd_kafka_event_error(self.as_ptr()) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
                code => Err(text(native::rd_kafka_event_error_string(self.as_ptr()))
                    .unwrap_or_else(|| format!("{code:?}"))),
            }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it came out of a queue, and nothing borrows from it any more.
        unsafe { native::rd_kafka_event_destroy(self.as_ptr()) }
    }
}

/// How a request is made.
struct Options(NonNull<native::rd_kafka_AdminOptions_t>);

impl Options {
    fn new(
        client: *mut RDKafka,
        operation: native::rd_kafka_admin_op_t,
        broker: Option<i32>,
    ) -> Result<Self, String> {
        // SAFETY: `client` lives. The codes are ignored on purpose: an option that is refused keeps its default, so the
        // controller is asked, with the time-out of librdkafka.
        unsafe {
            let options = native::rd_kafka_AdminOptions_new(client, operation);
            let options = NonNull::new(options).ok_or("librdkafka gives no options")?;
            let millis = c_int::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(c_int::MAX);
            native::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), millis, ptr::null_mut(), 0);
            if let Some(id) = broker {
                native::rd_kafka_AdminOptions_set_broker(options.as_ptr(), id, ptr::null_mut(), 0);
            }
            Ok(Options(options))
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: it was made by `new`; requests keep copies.
        unsafe { native::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

fn names_of(topics: &[String]) -> Result<Vec<CString>, String> {
    topics.iter().map(|topic| CString::new(topic.as_str()).map_err(|error| error.to_string())).collect()
}

fn ask_topic_ids(client: *mut RDKafka, topics: &[String], broker: Option<i32>) -> Result<Queue, String> {
    let names = names_of(topics)?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let queue = Queue::new(client)?;
    let operation = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let options = Options::new(client, operation, broker)?;
    // SAFETY: `client` lives, the names live until the collection has copied them, and the request copies the rest.
    unsafe {
        let topics = native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        native::rd_kafka_DescribeTopics(client, topics, options.0.as_ptr(), queue.0.as_ptr());
        native::rd_kafka_TopicCollection_destroy(topics);
    }
    Ok(queue)
}

fn ids_in(event: &Event) -> Answer<String> {
    event.check()?;
    let mut ids = BTreeMap::new();
    // SAFETY: all that is read belongs to the event, which outlives this block.
    unsafe {
        let result = native::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Err("an answer to something else".into());
        }
        let mut count = 0;
        let topics = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for &topic in items(topics, count) {
            // Absent for a topic that does not exist, or that this client may not see.
            let id = native::rd_kafka_TopicDescription_topic_id(topic);
            let error = native::rd_kafka_TopicDescription_error(topic);
            let is_known = error.is_null()
                || native::rd_kafka_error_code(error) == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            if id.is_null() || !is_known {
                continue;
            }
            let name = text(native::rd_kafka_TopicDescription_name(topic));
            let id = text(native::rd_kafka_Uuid_base64str(id)).filter(|id| id != NO_ID && !id.is_empty());
            ids.extend(name.zip(id));
        }
    }
    Ok(ids)
}

fn ask_settings(client: *mut RDKafka, topics: &[String], broker: Option<i32>) -> Result<Queue, String> {
    let names = names_of(topics)?;
    let queue = Queue::new(client)?;
    let operation = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let options = Options::new(client, operation, broker)?;
    let kind = native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: `client` lives; the resources copy their names, and the request copies the resources.
    unsafe {
        let resources = names.iter().map(|name| native::rd_kafka_ConfigResource_new(kind, name.as_ptr()));
        let mut resources: Vec<_> = resources.filter(|resource| !resource.is_null()).collect();
        let (array, count) = (resources.as_mut_ptr(), resources.len());
        native::rd_kafka_DescribeConfigs(client, array, count, options.0.as_ptr(), queue.0.as_ptr());
        native::rd_kafka_ConfigResource_destroy_array(array, count);
    }
    Ok(queue)
}

fn settings_in(event: &Event, wanted: &str) -> Answer<String> {
    event.check()?;
    let mut settings = BTreeMap::new();
    // SAFETY: all that is read belongs to the event, which outlives this block.
    unsafe {
        let result = native::rd_kafka_event_DescribeConfigs_result(event.as_ptr());
        if result.is_null() {
            return Err("an answer to something else".into());
        }
        let (mut count, mut entries) = (0, 0);
        let resources = native::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        for &resource in items(resources, count) {
            let topic = text(native::rd_kafka_ConfigResource_name(resource));
            let configs = native::rd_kafka_ConfigResource_configs(resource, &raw mut entries);
            let mut all = items(configs, entries).iter().map(|&entry| {
                (
                    text(native::rd_kafka_ConfigEntry_name(entry)),
                    text(native::rd_kafka_ConfigEntry_value(entry)),
                )
            });
            let value = all.find(|(name, _)| name.as_deref() == Some(wanted)).and_then(|(_, value)| value);
            settings.extend(topic.zip(value));
        }
    }
    Ok(settings)
}

/// # Safety
/// `pointer` is null, or a text that ends with a null byte.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: as promised by the caller.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// # Safety
/// `pointer` is null, or `count` values that live as long as the result is used.
unsafe fn items<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    if pointer.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as promised by the caller.
    unsafe { slice::from_raw_parts(pointer, count) }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;
    use crate::kafka::EmbeddedBroker;
    use crate::kafka::identity::broker_to_ask;

    /// The embedded broker tells ids, and no configuration; what it does not answer must not hang.
    #[test]
    fn questions_are_answered_or_given_up_in_time() {
        let topics = ["a", "b"].map(ToOwned::to_owned);
        let broker = EmbeddedBroker::start(&topics, 2).unwrap();
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", broker.brokers()).create().unwrap();
        let client = consumer.client();
        let id = broker_to_ask(&client.fetch_metadata(None, REQUEST_TIMEOUT).unwrap());
        let ids = topic_ids(client, &topics, id).unwrap();
        assert_eq!(ids.len(), 2, "{ids:?}");
        assert_ne!(ids["a"], ids["b"]);
        assert!(ids.values().all(|id| id.len() == 22), "{ids:?}");
        assert_eq!(topic_ids(client, &topics[..1], id).unwrap().get("a"), ids.get("a"));
        let started = Instant::now();
        assert!(settings(client, &topics, "cleanup.policy", id).is_err());
        assert!(started.elapsed() < REQUEST_TIMEOUT * 2);
        // Its controller is a broker that is not there.
        assert!(topic_ids(client, &topics, None).is_err());
        assert!(topic_ids(client, &["a\0b".to_owned()], id).is_err());
    }
}
