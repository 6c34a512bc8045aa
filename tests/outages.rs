//! What a pipeline does while something that it needs is away or slow: it waits within its memory, and goes on.
//!
//! `FENLIU_OUTAGE` is the length of each outage in seconds; that of the slow sink is about 40 s at least.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fenliu_skip::{Part, skipped};
use fenliu_tests::bucket::Bucket;
use fenliu_tests::kafka::{self, Broker};
use fenliu_tests::proxy::Fate;

use crate::exactly_once::{SINKS, check};
use crate::fixtures::{PATIENCE, stop};
use crate::job::{Job, epoch_rows, number};

/// MiB that the memory of a process may rise by beside its budget: allocators keep some of what was freed.
pub(crate) const SLACK: u64 = 32;

pub(crate) fn outage(default: u64) -> Duration {
    Duration::from_secs(number("FENLIU_OUTAGE", default))
}

#[test]
fn a_broker_that_answers_nothing_for_a_while_is_waited_for() {
    if kafka::broker().unwrap().is_none() {
        return;
    }
    let broker = Broker::own().unwrap();
    let mut job = Job::new(&broker, 10_000, SINKS);
    let running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(10_000);
    job.send(10_000);
    let before = running.resident_bytes().unwrap() >> 20;
    broker.signal("STOP").unwrap();
    std::thread::sleep(outage(15));
    let during = running.resident_bytes().unwrap() >> 20;
    broker.signal("CONT").unwrap();
    let waited = job.wait_until_next_commit();
    println!("documents are committed again {:.1} s after the outage", waited.as_secs_f64());
    job.wait_until_committed(20_000);
    job.send(1_000);
    job.wait_until_committed(21_000);
    stop(running);
    println!("resident MiB: {before} before, {during} at the end of the outage");
    assert!(during <= before + before / 10 + SLACK, "{before} MiB before, {during} during the outage");
    check(&job, &format!("the broker answered nothing for {:?}", outage(15)));
}

/// Copies are allowed then, but not of the same epoch for ever.
#[test]
fn a_topic_written_at_least_once_goes_on_after_messages_were_lost() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 2_000, SINKS);
    let labelled = format!("{}-labelled", job.topic);
    broker.delete_topic(&labelled).unwrap();
    let set = ["epoch.delivery=\"at-least-once\"", "kafka.properties.\"message.timeout.ms\"=2000"];
    let mut running = job.start(Some("a"), "", &["--set", set[0], "--set", set[1]]);
    running.wait_for_text("messages not delivered", PATIENCE).unwrap();
    broker.create_topic(&labelled, 3).unwrap();
    job.wait_until_committed(job.sent);
    stop(running);
    let (found, expected) = (job.labelled(), job.expected(false));
    println!("{} rows, {} copies", expected.len(), found.values().sum::<usize>() - expected.len());
    assert!(found.keys().eq(expected.keys()), "no row is lost");
}

/// All is read within the first second; the sink takes longer for it than the group waits for a sign of life.
#[test]
fn at_the_end_of_its_topic_a_member_stays_until_a_slow_sink_has_everything() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 6 * epoch_rows(), SINKS);
    let poll = ["--set", "source.properties.\"max.poll.interval.ms\"=6500", "--stop-at-end"];
    let finished = job.start(Some("a"), "kafka-sent=sleep(2500)", &poll).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(finished.events("restarting"), 0, "it stays in its group: {}", finished.stderr);
    check(&job, "a slow sink at the end of the topic");
}

#[test]
fn a_slow_sink_holds_the_source_back_within_the_memory_budget() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    // Of epochs of 500 rows, each of which takes 1.5 s longer.
    let documents = 12_000.max(333 * outage(0).as_secs() as i64);
    let job = Job::new(broker, documents, SINKS);
    let small = ["--set", "limits.memory=\"8 MiB\"", "--set", "epoch.max_bytes=\"4 MiB\""];
    let poll = ["--set", "source.properties.\"max.poll.interval.ms\"=6500"];
    let running = job.start(Some("a"), "files-staged=sleep(1500)", &[&small[..], &poll[..]].concat());
    // After a few epochs each thread has allocated what it needs for its work, which the memory budget does not count.
    job.wait_until_committed(2_500);
    let mut resident = vec![];
    while job.committed() < documents {
        resident.push(running.resident_bytes().unwrap() >> 20);
        std::thread::sleep(Duration::from_millis(500));
    }
    let stopped = stop(running);
    assert_eq!(stopped.events("restarting"), 0, "it stays in its group: {}", stopped.stderr);
    let (first, most) = (resident[0], resident.iter().max().unwrap());
    println!("resident MiB: {first} at first, {most} at most");
    assert!(*most <= first + 8 + SLACK, "MiB every half second: {resident:?}");
    check(&job, "a sink that took 1.5 s longer for every epoch");
}

/// A small file system of its own, unmounted on drop; none, said aloud, where that is not allowed.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(path).output();
        match output {
            Ok(output) if output.status.success() => Some(SmallDisk(path)),
            Ok(output) => {
                skipped(Part::Mount, String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                skipped(Part::Mount, error);
                None
            }
        }
    }

    fn grow(&self, size: &str) {
        let grown = Command::new("mount").args(["-o", &format!("remount,{size}")]).arg(self.0).status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stalls_the_pipeline_and_loses_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 6_000, SINKS);
    let path = job.directory.path().join("labelled");
    std::fs::create_dir(&path).unwrap();
    let Some(disk) = SmallDisk::mount(&path, "size=128k") else { return };
    let mut running = job.start(Some("a"), "", &[]);
    running.wait_for_text("No space left on device", PATIENCE).unwrap();
    disk.grow("size=64m");
    job.wait_until_committed(6_000);
    stop(running);
    check(&job, "the disk was full for a while");
}

/// What S3 says where temporary keys have run out.
const EXPIRED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: 90\r\n\r\n\
    <Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";

/// Lets the keys to the bucket expire for a while, with documents under way.
pub(crate) fn expire_keys(bucket: &Bucket, job: &mut Job<'_>) {
    let mut running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(job.sent);
    bucket.proxy().judge(|_| Fate::Answered(EXPIRED));
    job.send(2_000);
    running.wait_for_text("ExpiredToken", PATIENCE).unwrap();
    std::thread::sleep(outage(5));
    bucket.proxy().judge(|_| Fate::Passes);
    job.wait_until_committed(job.sent);
    println!("{} tries failed", stop(running).events("retrying"));
}
