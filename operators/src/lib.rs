//! Cleaning and segmentation of news text as DataFusion functions.
//!
//! An *operator* is a SQL function over one row: total on any UTF-8 text, null in gives null out, and the
//! same text always gives the same result, whatever batch it comes in. `registry.rs` lists them all.
//!
//! From SQL, register them once:
//!
//! ```
//! use datafusion::prelude::SessionContext;
//!
//! let context = SessionContext::new();
//! fenliu_operators::register_all(&context);
//! // SELECT to_simplified(normalize(strip_html(body))) FROM documents
//! ```
//!
//! From Rust, a [`CleanConfig`] compiles to a [`Plan`], which turns raw rows to cleaned rows:
//!
//! ```
//! use fenliu_operators::{CleanConfig, Plan};
//! use fenliu_schemas::{Document, Origin, RawBuilder, raw};
//!
//! let mut rows = RawBuilder::default();
//! let document = Document { body: Some("<p>臺灣　新聞</p>".into()), ..Document::default() };
//! rows.append(Origin { topic: "news", partition: 0, offset: 0, timestamp_ms: None }, b"", &Ok(document));
//!
//! let plan = Plan::try_new(&CleanConfig::default(), &raw::schema()).unwrap();
//! let cleaned = plan.run(&rows.finish().unwrap()).unwrap();
//! # use arrow::array::AsArray;
//! assert_eq!(cleaned.column_by_name("body").unwrap().as_string::<i32>().value(0), "台湾 新闻");
//! assert_eq!(cleaned.column_by_name("lang").unwrap().as_string::<i32>().value(0), "zh");
//! ```
//!
//! A sink picks its columns and rows with a [`Projection`]. This crate runs synchronously on the caller's
//! thread and opens no files but the user dictionary.

mod array;
mod config;
mod error;
mod lang;
mod plan;
mod projection;
mod registry;
mod rejections;
mod sql;
#[cfg(test)]
mod testing;
mod text;
mod words;

pub use config::{CleanConfig, Step};
pub use error::OperatorError;
pub use plan::Plan;
pub use projection::Projection;
pub use registry::{functions, register_all};
