//! Members of the group come and go, by every protocol, and nothing is lost and nothing is there twice.

use std::time::Duration;

use fenliu_tests::binary::Running;
use fenliu_tests::kafka;

use crate::exactly_once::{SINKS, check};
use crate::fixtures::{PATIENCE, json, stop};
use crate::job::{Job, epoch_rows, number};

/// Stops a member; how many documents it has read.
fn stop_and_count(member: Running) -> i64 {
    let finished = stop(member);
    json(&finished.stdout)["documents"].as_i64().unwrap()
}

/// Lets another member join and leave several times while documents come, with an assignment `strategy`. A move of
/// partitions may make members read an epoch again.
fn join_and_leave(strategy: &str) {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let strategy = format!("source.properties.\"partition.assignment.strategy\"=\"{strategy}\"");
    let first = job.start(None, "", &["--set", &strategy]);
    let rounds = number("FENLIU_FAULTS", 4);
    let mut read = 0;
    for _ in 0..rounds {
        let second = job.start(None, "", &["--set", &strategy]);
        for _ in 0..6 {
            job.send(400);
            std::thread::sleep(Duration::from_millis(500));
        }
        read += stop_and_count(second);
    }
    job.wait_until_committed(job.sent);
    read += stop_and_count(first);
    let (again, moves) = (read - job.sent, 2 * rounds as i64);
    println!("{again} documents read again in {moves} moves");
    assert!(again <= moves * epoch_rows(), "{again} documents read again in {moves} moves");
    check(&job, &format!("{rounds} times another member joined and left"));
}

#[test]
fn members_that_join_and_leave_lose_nothing_and_repeat_nothing() {
    join_and_leave("cooperative-sticky");
}

/// Each rebalance takes all partitions from all members.
#[test]
fn members_that_join_and_leave_by_an_eager_protocol_lose_nothing_and_repeat_nothing() {
    join_and_leave("range");
}

#[test]
fn a_member_with_a_name_restarts_without_a_rebalance() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let patient = ["--set", "source.properties.\"session.timeout.ms\"=45000"];
    let mut stays = job.start(Some("b"), "", &patient);
    stays.wait_for_event("partitions_assigned", PATIENCE).unwrap();
    let mut restarts = job.start(Some("a"), "", &patient);
    // The first takes part in the joining of the second, and in nothing after it.
    stays.wait_for_event("partitions_revoked", PATIENCE).unwrap();
    for signal in ["TERM", "KILL", "TERM"] {
        restarts.wait_for_event("partitions_assigned", PATIENCE).unwrap();
        job.send(2_000);
        job.wait_until_committed(job.sent - 1_500);
        restarts.signal(signal).unwrap();
        restarts.wait(PATIENCE).unwrap();
        job.send(1_000);
        restarts = job.start(Some("a"), "", &patient);
    }
    job.wait_until_committed(job.sent);
    stop(restarts);
    let stopped = stop(stays);
    assert_eq!(stopped.events("partitions_revoked"), 1, "no rebalance after the first: {}", stopped.stderr);
    check(&job, "one of two members with names restarted three times");
}
