//! Overrides training options by name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An option that does not exist, or whose value is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadOption {
    /// The key as it was given.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// Replaces values in `defaults` by the `given` ones. A key with a dot names an option inside a group of options.
///
/// # Errors
/// The first option that does not exist or has an invalid value.
pub(crate) fn overlay<'a, T: Serialize + DeserializeOwned>(
    defaults: &T,
    given: impl IntoIterator<Item = (&'a str, Value)>,
) -> Result<T, BadOption> {
    let bad = |key: &str, message: String| BadOption { key: key.to_owned(), message };
    let mut tree = serde_json::to_value(defaults).map_err(|error| bad("", error.to_string()))?;
    for (key, value) in given {
        // Only places that the defaults have: a misspelt name is an error and is not added.
        let place = tree.pointer_mut(&format!("/{}", key.replace('.', "/")));
        *place.ok_or_else(|| bad(key, "is not a training option".into()))? = value;
        // Deserialised after each option, because an error then belongs to this option.
        serde_json::from_value::<T>(tree.clone()).map_err(|error| bad(key, error.to_string()))?;
    }
    serde_json::from_value(tree).map_err(|error| bad("", error.to_string()))
}

/// The value of an option on the command line: `text` is read as JSON, or if it is not valid JSON, as a string.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

#[cfg(test)]
mod tests {
    use fenliu_model::tokenize::Tokenization;
    use fenliu_training::{Preset, TrainOptions};

    use super::*;

    #[test]
    fn options_are_set_by_name_and_wrong_ones_are_named() {
        let defaults = TrainOptions::new(Preset::Tiny, Tokenization::Words);
        let set = |key, text| overlay(&defaults, [("epochs", value("3")), (key, value(text))]);
        let options = set("ngrams.enabled", "false").unwrap();
        assert!(
            options.optimisation.epochs == 3 && !options.ngrams.enabled && options.ngrams.bigram_buckets > 0
        );
        assert_eq!(set("preset", "small").unwrap().preset, Preset::Small);
        for (key, text, message) in [
            ("rate", "1", "is not a training option"),
            ("ngrams.rate", "1", "is not a training option"),
            ("dropout", "much", "invalid type: string"),
            ("ngrams", "{enabled=false}", "expected struct NgramShape"),
        ] {
            let bad = set(key, text).unwrap_err();
            assert!(bad.key == key && bad.message.contains(message), "{bad:?}");
        }
    }
}
