//! The parts that all configurations of fenliu share: reading TOML into a type and naming every problem, `--set`
//! overrides, `${VARIABLES}`, former names of keys, secrets, and places on disks and in buckets.
//!
//! Each connector owns its section of the configuration and checks it with the functions of this crate. This crate
//! depends on none of them: it knows neither Kafka nor table formats nor anything else that runs. Start reading at
//! [`load`].

mod lines;
mod load;
mod misfit;
mod overrides;
mod place;
mod problems;
mod properties;
mod read;
mod renamed;
mod secrets;
mod text;
mod tree;
mod typed;
mod variables;

pub use load::{Format, load, parse};
pub use place::{check_place, is_bucket, is_object, same_place};
pub use problems::{Problem, Problems};
pub use properties::{Properties, properties};
pub use renamed::{Renamed, RenamedValue};
pub use secrets::{REDACTED, redact};
pub use variables::escape_variables;
