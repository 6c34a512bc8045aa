//! Why a message could not be decoded.

use fenliu_engine::Error;
use fenliu_schemas::{Reject, Stage};

/// Why a message could not be decoded, or could not be decoded yet.
#[derive(Debug)]
pub enum Undecoded {
    /// The message is invalid: decoding it again would fail in the same way.
    Reject(Reject),
    /// The schema registry does not answer: the message has to be decoded again later.
    Wait,
    /// No message can be decoded any more, for example because the registry refuses the password.
    Failed(Error),
}

impl Undecoded {
    /// The rejection. A decoder for files needs no registry, so it returns no other variant.
    pub fn into_reject(self) -> Reject {
        match self {
            Undecoded::Reject(reject) => reject,
            Undecoded::Wait => reject("no_schema", "the schema registry does not answer".into()),
            Undecoded::Failed(error) => reject("no_schema", error.to_string()),
        }
    }
}

impl From<Reject> for Undecoded {
    fn from(reject: Reject) -> Self {
        Undecoded::Reject(reject)
    }
}

/// A rejection by the decoding stage.
pub(crate) fn reject(reason: &'static str, detail: String) -> Reject {
    Reject::new(Stage::Decode, reason, Some(detail))
}
