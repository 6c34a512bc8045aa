//! Reading and printing a configuration.

use std::path::Path;

use fenliu_config::{Format, Problems, Renamed, escape_variables, redact};
use toml::Value;

use super::Config;

/// What reading needs to know beside the types: default variants and former names.
const FORMAT: Format = Format {
    types: &[("source", "kafka"), ("dead_letters", "files")],
    renamed: &[Renamed { section: "model", old: "bake", new: "canary" }],
    renamed_values: &[],
};

impl Config {
    /// Reads a configuration from `file` (without one, only defaults), applies `overrides` of the form `key=value`, and
    /// fills in `${NAME}` from the environment.
    ///
    /// # Errors
    /// All problems at once: the file cannot be read, TOML syntax, unknown keys, values of a wrong type, variables that
    /// are not set.
    pub(crate) fn load(file: Option<&Path>, overrides: &[String]) -> Result<Config, Problems> {
        fenliu_config::load(file, overrides, &FORMAT)
    }

    /// As [`load`](Self::load), from `text`; `variable` looks up an environment variable.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    #[cfg(test)]
    pub(crate) fn parse(
        text: &str,
        origin: &str,
        overrides: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        fenliu_config::parse(text, origin, overrides, variable, &FORMAT)
    }

    /// The configuration as TOML; secrets are replaced by asterisks.
    pub(crate) fn to_redacted_toml(&self) -> String {
        let mut value = self.to_redacted_value();
        // What is printed may be read again, and then must not name environment variables.
        escape_variables(&mut value);
        toml::to_string_pretty(&value).unwrap_or_else(|error| error.to_string())
    }

    /// The configuration as a tree of values; secrets are replaced by asterisks.
    pub(crate) fn to_redacted_value(&self) -> Value {
        let mut value = Value::try_from(self).unwrap_or_else(|error| Value::String(error.to_string()));
        redact(&mut value);
        value
    }
}
