//! The one integration binary, a module for each feature: every further binary would link all of
//! fenliu again. What the tests stand on (broker, binary, readers, data) is in `support/`.
//!
//! `cfg(test)` tells clippy that a module's helpers, too, may unwrap.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod bucket_files;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod delta;
#[cfg(test)]
mod delta_features;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod exactly_once;
#[cfg(test)]
mod exit_codes;
#[cfg(test)]
mod file_job;
#[cfg(test)]
mod finetune_job;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hot_swap;
#[cfg(test)]
mod housekeeping;
#[cfg(test)]
mod http;
#[cfg(test)]
mod iceberg;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod job;
#[cfg(test)]
mod kafka_harness;
#[cfg(test)]
mod kafka_job;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod network;
#[cfg(test)]
mod odd_messages;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod page;
#[cfg(test)]
mod pass_through;
#[cfg(test)]
mod rebalance;
#[cfg(test)]
mod recreated;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod source_trust;
#[cfg(test)]
mod state;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod workspace;
