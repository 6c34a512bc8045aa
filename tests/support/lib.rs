//! What the integration tests stand on: a real broker and a bucket with a proxy before each, the real binary,
//! second readers, real data.
//!
//! Contract: whatever a test needs is set up on first use and shared by the tests of the process.
//! A part that this machine cannot offer gives `None` after saying so on standard error with
//! `SKIPPED`; a part that should work and does not gives an `Err`. Nothing started here outlives
//! the test process.
//!
//! No test is in here, and nothing of fenliu's own: see `tests.rs`.

use std::io::Write as _;

pub mod binary;
pub mod bucket;
pub mod data;
pub mod files;
pub mod kafka;
pub mod modules;
pub mod proxy;
pub mod readers;
pub mod schema_registry;
pub mod scripts;
mod watchdog;

/// Says on standard error that a test is skipped: `SKIPPED (missing): why`.
///
/// Written past the test runner's capture, which hides the output of every test that passes.
pub fn skipped(missing: &str, why: &str) {
    // Nothing is left to tell it to when standard error is closed.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({missing}): {why}");
}
