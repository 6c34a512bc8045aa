//! One labelled document.

/// One labelled document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text, cleaned as it will be when the model is used.
    pub text: String,
    /// Id of its label.
    pub label: String,
    /// Documents of one group (one story, one source page) are never split between training and development
    /// rows.
    pub group: Option<String>,
}
