//! The production engine in memory: real readers and workers, scripted sinks and brokers, a driven clock.
//!
//! Each seed is one schedule: at least two instances, two sinks, three partitions, twenty epochs and two faults.
//! Faults are crashes (with a commit landing after the death), frozen processes that come back, rebalances, slow
//! commits of up to ten minutes, failures before and after the effect, lost answers, a partition that is added. At
//! the end every sink must have every message once, and every schedule must end.
//!
//! `FENLIU_SCHEDULES=1000000` runs as many, from `FENLIU_SEED` on; a failing seed is printed and can be run alone
//! with `FENLIU_TRACE=1`, which prints what happened.

mod group;
mod member;
mod store;
mod world;

use std::sync::{Arc, OnceLock};

use world::{Outcome, World};

/// The topic of every schedule.
const TOPIC: &str = "news";

fn topic() -> Arc<str> {
    static NAME: OnceLock<Arc<str>> = OnceLock::new();
    Arc::clone(NAME.get_or_init(|| TOPIC.into()))
}

/// A safeguard that is taken out, to show that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sabotage {
    None,
    /// Rows that the sink has already are written again.
    Trim,
    /// A commit takes effect wherever the sink's positions stand.
    PositionCheck,
    /// A transaction of a former member of the group takes effect.
    Fence,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn run(seed: u64, sabotage: Sabotage) -> Outcome {
    World::new(seed, sabotage).run()
}

/// Runs a schedule and checks it; its epochs and faults.
fn check(seed: u64) -> (u64, u64) {
    let outcome = run(seed, Sabotage::None);
    assert_eq!(outcome.problem, None, "seed {seed}: {outcome:?}");
    let is_hard = outcome.epochs >= 20 && outcome.faults >= 2 && outcome.instances >= 2;
    assert!(is_hard, "seed {seed}: {outcome:?}");
    (outcome.epochs, outcome.faults)
}

#[test]
fn nothing_is_lost_nothing_is_there_twice_and_every_schedule_ends() {
    let (first, count) = (number("FENLIU_SEED", 1), number("FENLIU_SCHEDULES", 2_000));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let began = std::time::Instant::now();
    let share = |thread: u64| (first + thread..first + count).step_by(threads as usize).map(check);
    let sum = |(epochs, faults), (more_epochs, more_faults)| (epochs + more_epochs, faults + more_faults);
    let (epochs, faults) = std::thread::scope(|scope| {
        let started: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || share(thread).fold((0, 0), sum))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), sum)
    });
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    println!(
        "seeds {first}..{}: {epochs} epochs, {faults} faults, {per_second:.0} schedules a second",
        first + count
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..50 {
        assert_eq!(run(seed, Sabotage::None), run(seed, Sabotage::None));
    }
}

fn is_noticed_without(sabotage: Sabotage) {
    let found = (1..5_000).find_map(|seed| Some((seed, run(seed, sabotage).problem?)));
    assert!(found.is_some(), "{sabotage:?}: no schedule notices");
    if let Some((seed, problem)) = found {
        eprintln!("{sabotage:?}: noticed by seed {seed}: {}", problem.chars().take(200).collect::<String>());
    }
}

#[test]
fn a_missing_trim_is_noticed() {
    is_noticed_without(Sabotage::Trim);
}

#[test]
fn a_missing_position_check_is_noticed() {
    is_noticed_without(Sabotage::PositionCheck);
}

#[test]
fn a_missing_fence_is_noticed() {
    is_noticed_without(Sabotage::Fence);
}
