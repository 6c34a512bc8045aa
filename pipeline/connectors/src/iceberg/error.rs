//! What the library's errors mean, and the runtime that its calls need.

use fenliu_engine::{Error, Kind, Result};
use iceberg::{ErrorKind, TableIdent};
use tokio::runtime::Runtime;

/// A `map_err` adapter for calls that have to do with the table `ident`.
pub(super) fn failed(action: &'static str, ident: &TableIdent) -> impl Fn(iceberg::Error) -> Error + use<> {
    let table = ident.to_string();
    move |error| {
        let message = format!("iceberg: cannot {action} {table}: {error}");
        match error.kind() {
            ErrorKind::FeatureUnsupported => Error::new(Kind::Refused, message),
            _ => Error::unavailable(message),
        }
    }
}

/// A runtime for the library's calls: sinks are threads of their own.
///
/// # Errors
/// When the system does not give one.
pub(super) fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::internal(format!("cannot start the runtime of an Iceberg table: {error}")))
}
