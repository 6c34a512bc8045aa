//! What the integration tests stand on: a real broker and a bucket with a proxy before each, the real binary,
//! second readers, real data.
//!
//! Contract: whatever a test needs is set up on first use and shared by the tests of the process.
//! A part that this machine cannot offer gives `None` after `fenliu_skip` has said so, or fails the test where
//! `FENLIU_REQUIRE` lists it; a part that should work and does not gives an `Err`. Nothing started here outlives the
//! test process.
//!
//! No test is in here, and nothing of fenliu's own: see `tests.rs`.

pub mod binary;
pub mod bucket;
pub mod data;
pub mod files;
pub mod http;
pub mod kafka;
pub mod modules;
pub mod proxy;
pub mod readers;
pub mod schema_registry;
pub mod scripts;
pub mod token_server;
mod watchdog;
