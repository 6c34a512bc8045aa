//! What the library's errors mean.

use fenliu_engine::{Error, Kind};
use iceberg::{ErrorKind, TableIdent};

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
