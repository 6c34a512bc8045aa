//! Parquet, Arrow IPC and JSON Lines files, as a source and as outputs in a directory or a bucket.

mod appender;
mod config;
mod contents;
mod datafile;
mod directory;
mod documents;
mod encode;
mod history;
mod housekeeping;
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

pub use appender::FileAppender;
pub use config::{FileFormat, FilesSinkConfig, FilesSourceConfig};
pub use documents::{Documents, data_files, files_in};
