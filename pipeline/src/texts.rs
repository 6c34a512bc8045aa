//! Cleans single texts as the training documents of a bundle were cleaned.

use std::borrow::Cow;

use fenliu_model::Bundle;
use fenliu_operators::{CleanConfig, Plan};
use fenliu_schemas::{Document, Origin, RawBuilder, Texts, text_column};

use crate::clean::compile;
use crate::error::{Converted, Error, Result};

/// The cleaning of a bundle's training documents, as its manifest describes it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Preprocessing {
    /// The settings of the cleaning.
    pub clean: CleanConfig,
    /// Identifies the cleaning; it must be the same in training and in serving.
    pub fingerprint: String,
}

impl Preprocessing {
    /// Describes `clean` for a bundle.
    pub(crate) fn new(clean: &CleanConfig) -> Self {
        Preprocessing { clean: clean.clone(), fingerprint: clean.fingerprint() }
    }

    /// The JSON value that the manifest stores.
    ///
    /// # Errors
    /// The settings cannot be written as JSON, which does not happen for any valid configuration.
    pub(crate) fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))
    }

    /// The description in the manifest of `bundle`; `None` if the model was trained by another program.
    ///
    /// # Errors
    /// The description is invalid.
    pub(crate) fn of_bundle(bundle: &Bundle) -> Result<Option<Self>> {
        let value = &bundle.manifest().model.preprocessing;
        if value.is_null() {
            return Ok(None);
        }
        serde_json::from_value(value.clone()).map(Some).map_err(|error| {
            Error::input(format!("{}: manifest.json: preprocessing: {error}", bundle.path().display()))
        })
    }
}

/// Cleans texts that are not fields of a document.
pub(crate) struct TextCleaner {
    plan: Plan,
}

impl TextCleaner {
    /// Uses the cleaning that the manifest of `bundle` describes, or the default cleaning if there is no description.
    ///
    /// # Errors
    /// The described cleaning steps do not compile with this release.
    pub(crate) fn of_bundle(bundle: &Bundle) -> Result<Self> {
        let clean = Preprocessing::of_bundle(bundle)?.map(|preprocessing| preprocessing.clean);
        Ok(TextCleaner { plan: compile(&clean.unwrap_or_default())? })
    }

    /// The compiled cleaning steps.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Cleans each text; the inner error is the reason why cleaning rejects it.
    ///
    /// # Errors
    /// The cleaning plan cannot run at all.
    pub(crate) fn clean(&self, inputs: &[String]) -> Result<Vec<std::result::Result<String, String>>> {
        let mut builder = RawBuilder::default();
        for (row, text) in inputs.iter().enumerate() {
            let origin = Origin { topic: "text", partition: 0, offset: row as i64, timestamp_ms: None };
            let document = Document { body: Some(text.as_str().into()), ..Document::default() };
            builder.append(origin, text.as_bytes(), &Ok(document));
        }
        let cleaned = self.plan.run(&builder.finish()?).converted()?;
        let reasons = text_column(&cleaned, "reject_reason")?;
        let outcomes = Texts::of(&cleaned)?.iter().zip(reasons);
        let outcome = |(text, reason): (Cow<'_, str>, Option<&str>)| {
            reason.map_or_else(|| Ok(text.into_owned()), |reason| Err(reason.to_string()))
        };
        Ok(outcomes.map(outcome).collect())
    }
}
