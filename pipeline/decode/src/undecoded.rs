//! Why a message is not, or not yet, a document.

use fenliu_engine::Error;
use fenliu_schemas::{Reject, Stage};

/// Why a message is not, or not yet, a document.
#[derive(Debug)]
pub enum Undecoded {
    /// The message is not a document and never will be one.
    Reject(Reject),
    /// The schema registry does not answer: decode the message again a little later.
    Wait,
    /// Nothing can be decoded any more, such as when the registry refuses the password.
    Failed(Error),
}

impl Undecoded {
    /// As a rejection; of a decoder for files there is nothing else.
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

/// A rejection of this stage.
pub(crate) fn reject(reason: &'static str, detail: String) -> Reject {
    Reject::new(Stage::Decode, reason, Some(detail))
}
