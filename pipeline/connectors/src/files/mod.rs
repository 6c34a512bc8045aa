//! Files as a source, and Parquet, Arrow IPC and JSON Lines files as outputs in a directory or a bucket.

mod appender;
mod config;
mod contents;
mod datafile;
mod describe;
mod directory;
mod documents;
mod encode;
mod find;
mod found;
mod history;
mod housekeeping;
mod identity;
mod kind;
mod letters;
mod manifest;
mod names;
mod open;
mod partition;
mod reader;
mod settle;
mod sink;
mod source;
mod source_kind;
mod staged;

#[cfg(feature = "s3")]
mod bucket;
mod disk;
#[cfg(feature = "s3")]
mod object;
#[cfg(feature = "s3")]
mod store;

pub use appender::FileAppender;
pub use config::{Each, FileFormat, FilesSinkConfig, FilesSourceConfig, FinalLine, Replaced};
pub use documents::{Documents, data_files, files_in};
