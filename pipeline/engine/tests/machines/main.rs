//! The reader and the worker, one event at a time: each notice and each way to end.
//!
//! The simulation looks for what goes wrong between them; these tests say what each does in a given case.
//!
//! `cfg(test)` tells clippy that a module's helpers, too, may unwrap.

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod worker;
