//! Delivery without I/O: what makes fenliu exactly once, as state machines that threads merely drive.
//!
//! Nothing in this crate opens a socket or a file, reads a clock or sleeps. The time is an argument, answers of sinks
//! and brokers are events, and what has to be done is returned as actions. So the code that runs in production also
//! runs in a simulation on one thread, with crashes, rebalances and late answers at any moment (`tests/simulation`).
//!
//! Start reading at [`position`], which has the rule; then [`worker`], which commits batches to one sink, and
//! [`reader`], which follows the consumer group.

pub mod batch;
pub mod epoch;
pub mod error;
pub mod metrics;
pub mod position;
pub mod progress;
pub mod reader;
pub mod retry;
pub mod sink;
pub mod worker;

pub use error::{Error, Kind, Result};
pub use sink::{Rows, Sink};
