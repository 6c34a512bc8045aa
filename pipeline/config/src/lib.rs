//! What all configurations of fenliu share: reading TOML into a type with every problem named, `--set` overrides,
//! `${VARIABLES}`, old names, secrets, and places on disks and in buckets.
//!
//! Each connector owns its part of the configuration and checks it with these means; this crate knows none of them,
//! neither Kafka nor table formats nor anything that runs.

mod load;
mod overrides;
mod place;
mod problems;
mod properties;
mod read;
mod renamed;
mod secrets;
mod tree;
mod variables;

pub use load::{Format, load, parse};
pub use place::{check_place, is_bucket, same_place};
pub use problems::{Problem, Problems};
pub use properties::{Properties, properties};
pub use renamed::{Renamed, RenamedValue};
pub use secrets::{REDACTED, redact};
