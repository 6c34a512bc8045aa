//! The list of operators.
//!
//! To add one, write a file under `functions` with its reference and its evaluation, and add an entry here.
//! The rest follows from this list: SQL, steps of the cleaning configuration, fingerprints, the README's
//! reference, benchmarks.

use datafusion_common::Result;
use datafusion_expr::ScalarUDF;
use datafusion_expr::registry::FunctionRegistry;

use crate::function::Reference;
use crate::functions::{
    decode_bytes, detect_lang, extract_main, normalize, segment, strip_html, strip_punctuation, to_simplified,
};

/// One operator.
pub(crate) struct Operator {
    /// Its documentation; has its name.
    pub(crate) reference: &'static Reference,
    /// The version of its results. Raise it whenever the result changes for some text: fingerprints of
    /// cleaning configurations contain it, so a model that was trained on the old results is not served on
    /// the new ones unnoticed.
    pub(crate) version: u32,
    /// Makes its SQL function.
    pub(crate) function: fn() -> ScalarUDF,
    /// The columns that the step of this name sets, and the SQL that each is set to.
    pub(crate) sets: &'static [(&'static str, &'static str)],
}

impl Operator {
    /// The name in SQL, and as a step of the cleaning configuration.
    pub(crate) fn name(&self) -> &'static str {
        self.reference.name
    }
}

/// Every operator, in the order in which a document usually needs them.
pub(crate) const OPERATORS: &[Operator] = &[
    Operator {
        reference: &decode_bytes::REFERENCE,
        version: 2,
        function: decode_bytes::function,
        // A body that the decoder of the format has found is text already.
        sets: &[("body", "coalesce(body, decode_bytes(payload))")],
    },
    Operator {
        reference: &strip_html::REFERENCE,
        version: 2,
        function: strip_html::function,
        sets: &[("title", "strip_html(title)"), ("body", "strip_html(body)")],
    },
    Operator {
        reference: &extract_main::REFERENCE,
        version: 1,
        function: extract_main::function,
        sets: &[("title", "strip_html(title)"), ("body", "extract_main(body)")],
    },
    Operator {
        reference: &normalize::REFERENCE,
        version: 2,
        function: normalize::function,
        sets: &[("title", "normalize(title)"), ("body", "normalize(body)")],
    },
    Operator {
        reference: &to_simplified::REFERENCE,
        version: 1,
        function: to_simplified::function,
        sets: &[("title", "to_simplified(title)"), ("body", "to_simplified(body)")],
    },
    Operator {
        reference: &detect_lang::REFERENCE,
        version: 2,
        function: detect_lang::function,
        sets: &[(
            "lang",
            "detect_lang(CASE WHEN title IS NOT NULL OR body IS NOT NULL THEN concat_ws(' ', title, body) END, lang)",
        )],
    },
    Operator {
        reference: &strip_punctuation::REFERENCE,
        version: 1,
        function: strip_punctuation::function,
        sets: &[("title", "strip_punctuation(title)"), ("body", "strip_punctuation(body)")],
    },
    Operator {
        reference: &segment::REFERENCE,
        version: 1,
        function: segment::function,
        sets: &[(
            "tokens",
            "CASE WHEN title IS NOT NULL OR body IS NOT NULL THEN segment(concat_ws(' ', title, body)) END",
        )],
    },
];

/// The SQL functions of all operators. Their `segment` knows jieba's own dictionary only.
pub fn functions() -> Vec<ScalarUDF> {
    OPERATORS.iter().map(|operator| (operator.function)()).collect()
}

/// Adds the [`functions`] to a registry, such as a `SessionContext` of the crate `datafusion`.
///
/// # Errors
/// The registry does not accept scalar functions.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    functions().into_iter().try_for_each(|function| registry.register_udf(function.into()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_expr::Volatility;
    use datafusion_expr::registry::MemoryFunctionRegistry;
    use std::collections::HashSet;

    #[test]
    fn every_operator_is_immutable_and_documented() {
        for (operator, function) in OPERATORS.iter().zip(functions()) {
            assert_eq!(operator.name(), function.name());
            assert_eq!(function.signature().volatility, Volatility::Immutable, "{}", function.name());
            let documentation = function.documentation().unwrap();
            assert!(documentation.syntax_example.starts_with(function.name()));
            assert!(documentation.sql_example.is_some() && documentation.arguments.is_some());
        }
    }

    #[test]
    fn a_registry_gets_all_operators() {
        let mut registry = MemoryFunctionRegistry::new();
        register_all(&mut registry).unwrap();
        let names: HashSet<String> = OPERATORS.iter().map(|operator| operator.name().to_owned()).collect();
        assert_eq!(registry.udfs(), names);
    }

    #[test]
    fn functions_with_the_same_dictionary_are_equal() {
        for (one, other) in functions().into_iter().zip(functions()) {
            assert_eq!(one, other);
        }
        let extended = || segment::function_with(fenliu_text::Segmenter::with_entries([]));
        assert_ne!(extended(), extended());
        assert_ne!(extended(), segment::function());
    }
}
