//! Single texts, cleaned as a bundle's training documents were.

use std::borrow::Cow;

use fenliu_model::Bundle;
use fenliu_operators::{CleanConfig, Plan};
use fenliu_schemas::{Document, Origin, RawBuilder, Texts, text_column};

use crate::clean::compile;
use crate::error::{Converted, Error, Result};

/// What a bundle's manifest says of the cleaning that its training documents went through.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Preprocessing {
    /// The settings.
    pub clean: CleanConfig,
    /// What must agree between training and serving.
    pub fingerprint: String,
}

impl Preprocessing {
    /// Describes `clean` for a bundle.
    pub(crate) fn new(clean: &CleanConfig) -> Self {
        Preprocessing { clean: clean.clone(), fingerprint: clean.fingerprint() }
    }

    /// As the manifest stores it.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no path or text does.
    pub(crate) fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))
    }

    /// What the manifest of `bundle` says; `None` for a model that was trained elsewhere.
    ///
    /// # Errors
    /// When the manifest's entry is of another form.
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

/// Cleans texts that come without a document around them.
pub(crate) struct TextCleaner {
    plan: Plan,
}

impl TextCleaner {
    /// Cleans as the bundle's manifest says; by default where it says nothing.
    ///
    /// # Errors
    /// When those cleaning steps do not compile any more.
    pub(crate) fn of_bundle(bundle: &Bundle) -> Result<Self> {
        let clean = Preprocessing::of_bundle(bundle)?.map(|preprocessing| preprocessing.clean);
        Ok(TextCleaner { plan: compile(&clean.unwrap_or_default())? })
    }

    /// The plan itself.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Each text cleaned, or why cleaning rejects it.
    ///
    /// # Errors
    /// When the plan cannot run at all.
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
