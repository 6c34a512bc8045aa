//! Documents come at a steady pace for long: at the end the pipeline takes no more memory and has no more files open than
//! early on, and each row is there once.
//!
//! `FENLIU_SOAK` is its length in minutes. Less than an hour is too short to judge the slope of the memory.

use std::time::{Duration, Instant};

use fenliu_tests::kafka;

use crate::exactly_once::{SINKS, check};
use crate::fixtures::stop;
use crate::job::{Job, number};
use crate::outages::SLACK;

/// The share of a run in which it warms up: caches fill, and arenas reach their size.
const WARM_UP: f64 = 0.25;
/// The most that memory may rise by in an hour, as a share of what it is.
const MOST_SLOPE: f64 = 0.01;

/// What a process takes.
struct Sample {
    hours: f64,
    resident_mib: f64,
    open_files: usize,
}

fn mean(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).sum::<f64>() / samples.len() as f64
}

/// Memory in the eighths of a run: whether it levels out.
fn course(samples: &[Sample]) -> Vec<i64> {
    let eighths = samples.chunks(samples.len().div_ceil(8));
    eighths.map(|part| mean(part, |sample| sample.resident_mib).round() as i64).collect()
}

/// The slope of the least squares line through memory over time, in MiB an hour.
fn slope(samples: &[Sample]) -> f64 {
    let (hours, memory) = (mean(samples, |s| s.hours), mean(samples, |s| s.resident_mib));
    let covariance = samples.iter().map(|s| (s.hours - hours) * (s.resident_mib - memory)).sum::<f64>();
    covariance / samples.iter().map(|s| (s.hours - hours).powi(2)).sum::<f64>()
}

#[test]
fn a_long_run_takes_no_more_memory_and_no_more_files_at_its_end() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let running = job.start(Some("a"), "", &["--set", "epoch.max_age=\"1s\""]);
    job.wait_until_committed(2_000);
    let minutes = number("FENLIU_SOAK", 0);
    let length = Duration::from_secs(60 * minutes).max(Duration::from_secs(15));
    let (began, mut samples) = (Instant::now(), vec![]);
    while began.elapsed() < length {
        job.send(50);
        std::thread::sleep(Duration::from_secs(1));
        samples.push(Sample {
            hours: began.elapsed().as_secs_f64() / 3600.0,
            resident_mib: running.resident_bytes().unwrap() as f64 / f64::from(1 << 20),
            open_files: running.open_files().unwrap(),
        });
    }
    let (early, late) = samples.split_at((WARM_UP * samples.len() as f64) as usize);
    let most = |samples: &[Sample]| samples.iter().map(|sample| sample.open_files).max().unwrap();
    let (first, last) = (late[0].resident_mib, late[late.len() - 1].resident_mib);
    let slope = slope(late);
    println!(
        "{minutes} minutes; resident MiB: {:?}, {first:.0} after warm-up, {last:.0} at last, \
         {slope:+.1} an hour; open files: {} at most while it warms up, {} later",
        course(&samples),
        most(early),
        most(late)
    );
    job.wait_until_committed(job.sent);
    stop(running);
    check(&job, "documents came at a steady pace");
    assert!(most(late) <= most(early) + 8, "open files");
    assert!(last <= first + SLACK as f64, "memory");
    assert!(minutes < 60 || slope <= MOST_SLOPE * first, "memory rises by {slope} MiB an hour");
}
