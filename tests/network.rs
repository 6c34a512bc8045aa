//! A network that fails: connections are cut, requests and answers are lost, everything is late, nothing passes for
//! a while. The pipeline reaches its broker through a proxy that does it; what lies in the outputs is read around it.
//!
//! `FENLIU_FAULTS` is the number of cuts, `FENLIU_SEED` where their randomness begins, `FENLIU_OUTAGE` the length of
//! an outage in seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fenliu_tests::binary::Running;
use fenliu_tests::bucket::Bucket;
use fenliu_tests::kafka::{self, Broker};
use fenliu_tests::proxy::{Fate, Proxy, Weather, kafka_api};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::exactly_once::{SINKS, check};
use crate::fixtures::stop;
use crate::job::{Job, randomness};
use crate::outages::{SLACK, outage};

/// Kafka's number for the request that ends a transaction.
const END_TRANSACTION: i16 = 26;

/// A broker of one's own; none where there is no broker at all.
fn own_broker() -> Option<Broker> {
    kafka::broker().unwrap().map(|_| Broker::own().unwrap())
}

/// Starts the pipeline of `job` behind `proxy`. Its clients never wait for long before they connect again, so that
/// there is something to cut.
fn start_behind(proxy: &Proxy, job: &Job) -> Running {
    let brokers = format!("kafka.brokers=\"{}\"", proxy.address());
    let reconnect = "kafka.properties.\"reconnect.backoff.max.ms\"=300";
    job.start(Some("a"), "", &["--set", &brokers, "--set", reconnect])
}

/// Waits until everything that was sent is committed, and ends the pipeline.
fn finish(job: &Job, running: Running) {
    job.wait_until_committed(job.sent);
    stop(running);
}

/// MiB in RAM.
fn resident(running: &Running) -> u64 {
    running.resident_bytes().unwrap() >> 20
}

#[test]
fn connections_that_are_cut_at_any_moment_lose_nothing_and_repeat_nothing() {
    let Some(broker) = own_broker() else { return };
    let proxy = broker.proxy().unwrap();
    let mut job = Job::new(&broker, 4_000, SINKS);
    let running = start_behind(proxy, &job);
    job.wait_until_committed(500);
    let before = resident(&running);
    let (faults, mut random) = randomness(20);
    let mut cut = 0;
    for fault in 0..faults {
        job.send(300);
        // At times in the middle of an answer, at times with nobody there for a moment.
        let cut_after = (fault % 3 == 1).then(|| random.random_range(1..30_000));
        proxy.set(Weather { cut_after, refuses: fault % 3 == 2, ..Weather::default() });
        cut += proxy.cut();
        std::thread::sleep(Duration::from_millis(random.random_range(50..1_500)));
    }
    proxy.set(Weather::default());
    job.wait_until_committed(job.sent);
    let after = resident(&running);
    finish(&job, running);
    println!("resident MiB: {before} before, {after} after");
    assert!(after <= before + before / 10 + SLACK, "{before} MiB before, {after} after");
    check(&job, &format!("{cut} connections cut in {faults} rounds"));
}

/// A reply that is lost says nothing of what was done: here of whether the transaction is committed.
#[test]
fn a_transaction_whose_end_is_not_confirmed_is_neither_lost_nor_repeated() {
    let Some(broker) = own_broker() else { return };
    let proxy = broker.proxy().unwrap();
    let mut job = Job::new(&broker, 4_000, SINKS);
    let (rounds, random) = randomness(10);
    let lost = lose_requests(proxy, random, api, |api, chance| match api {
        END_TRANSACTION if chance < 0.25 => Fate::NoEffect,
        END_TRANSACTION if chance < 0.75 => Fate::NoAnswer,
        _ => Fate::Passes,
    });
    let running = start_behind(proxy, &job);
    for _ in 0..rounds {
        job.send(200);
        std::thread::sleep(Duration::from_millis(400));
    }
    finish(&job, running);
    let lost = lost.lock().unwrap();
    println!("requests lost: {lost:?}");
    assert_eq!(lost.len(), 2, "some before their effect, some after");
    check(&job, "ends of transactions lost");
}

#[test]
fn requests_of_any_kind_may_be_lost_before_or_after_their_effect() {
    let Some(broker) = own_broker() else { return };
    let proxy = broker.proxy().unwrap();
    let mut job = Job::new(&broker, 2_000, SINKS);
    let (rounds, random) = randomness(20);
    let lost = lose_requests(proxy, random, api, |_, chance| match chance {
        ..0.05 => Fate::NoEffect,
        ..0.1 => Fate::NoAnswer,
        _ => Fate::Passes,
    });
    let running = start_behind(proxy, &job);
    for _ in 0..rounds {
        job.send(200);
        std::thread::sleep(Duration::from_millis(300));
    }
    finish(&job, running);
    println!("requests lost: {:?}", lost.lock().unwrap());
    check(&job, "requests of any kind lost");
}

/// How many requests of each kind were lost before or after their effect.
pub(crate) type Lost<K> = Arc<Mutex<BTreeMap<(K, Fate), u32>>>;

/// Lets `fate` decide on each request by its kind and by chance, a number from 0 to 1.
fn lose_requests<K: Copy + Ord + Send + 'static>(
    proxy: &Proxy,
    mut random: SmallRng,
    kind: impl Fn(&[u8]) -> K + Send + 'static,
    fate: impl Fn(K, f64) -> Fate + Send + 'static,
) -> Lost<K> {
    let lost = Lost::default();
    let counts = Arc::clone(&lost);
    proxy.judge(move |request| {
        let kind = kind(request);
        let fate = fate(kind, random.random());
        if fate != Fate::Passes {
            *counts.lock().unwrap().entry((kind, fate)).or_default() += 1;
        }
        fate
    });
    lost
}

/// Loses requests to a bucket: 5 % before their effect and the answers of 10 %; three times as many of the `PUT`s whose
/// address has `commits` in it, which are few. Counts them by method and by that.
pub(crate) fn lose_requests_to(
    bucket: &Bucket,
    random: SmallRng,
    commits: &'static str,
) -> Lost<(&'static str, bool)> {
    let kind = move |request: &[u8]| {
        let line = request.split(|byte| *byte == b'\n').next().unwrap();
        let line = String::from_utf8_lossy(line);
        let methods = ["GET", "PUT", "HEAD", "POST", "DELETE"];
        let method = methods.into_iter().find(|method| line.starts_with(method));
        (method.unwrap(), line.contains(commits))
    };
    lose_requests(bucket.proxy(), random, kind, |kind, chance| {
        match if kind == ("PUT", true) { chance / 3.0 } else { chance } {
            ..0.05 => Fate::NoEffect,
            ..0.15 => Fate::NoAnswer,
            _ => Fate::Passes,
        }
    })
}

/// What a request of Kafka's protocol asks for.
fn api(request: &[u8]) -> i16 {
    kafka_api(request).unwrap()
}

#[test]
fn a_network_of_long_delays_is_slow_and_right() {
    let Some(broker) = own_broker() else { return };
    let proxy = broker.proxy().unwrap();
    proxy.set(Weather { delay: Duration::from_millis(200), ..Weather::default() });
    let mut job = Job::new(&broker, 2_000, SINKS);
    let running = start_behind(proxy, &job);
    job.wait_until_committed(2_000);
    let first = resident(&running);
    job.send(1_500);
    job.wait_until_committed(job.sent);
    let last = resident(&running);
    finish(&job, running);
    println!("resident MiB: {first} at first, {last} at last");
    assert!(last <= first + first / 10 + SLACK, "{first} MiB at first, {last} at last");
    check(&job, "each chunk of bytes took 200 ms longer");
}

/// What was under way arrives when it is over, or never.
#[test]
fn a_network_that_is_gone_for_a_while_is_waited_for() {
    let Some(broker) = own_broker() else { return };
    let proxy = broker.proxy().unwrap();
    let mut job = Job::new(&broker, 2_000, SINKS);
    let running = start_behind(proxy, &job);
    job.wait_until_committed(500);
    let before = resident(&running);
    for arrives in [true, false] {
        job.send(3_000);
        proxy.set(Weather { holds: true, ..Weather::default() });
        std::thread::sleep(outage(15));
        if !arrives {
            proxy.cut();
        }
        proxy.set(Weather::default());
        let during = resident(&running);
        println!("resident MiB: {before} before, {during} at the end of the outage");
        assert!(during <= before + before / 10 + SLACK, "{before} MiB before, {during} during the outage");
        let waited = job.wait_until_next_commit();
        println!("documents are committed again {:.1} s after the outage", waited.as_secs_f64());
        job.wait_until_committed(job.sent);
    }
    job.send(500);
    finish(&job, running);
    check(&job, &format!("no network for twice {:?}", outage(15)));
}
