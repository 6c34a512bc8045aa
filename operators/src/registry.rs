//! THE list of operators.
//!
//! To add one: a file with its kernel and its SQL function, and an entry here. Everything else (SQL, steps of
//! the cleaning configuration, fingerprints, benchmarks) follows from this list.

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::text::{decode, html, normalize, script};
use crate::{lang, words};

/// One operator.
pub(crate) struct Operator {
    /// Its name in SQL and as a step of the cleaning configuration.
    pub(crate) name: &'static str,
    /// Raise it whenever the result changes for some text: models trained on the old result must not be
    /// served on the new one unnoticed.
    pub(crate) version: u32,
    /// Its SQL function.
    pub(crate) function: fn() -> ScalarUDF,
    /// What the step of this name does to a document: columns, and the SQL that each is set to.
    pub(crate) sets: &'static [(&'static str, &'static str)],
}

/// Every operator, in the order in which a document usually needs them.
pub(crate) const OPERATORS: &[Operator] = &[
    Operator {
        name: "decode_bytes",
        version: 1,
        function: decode::function,
        sets: &[("body", "coalesce(body, decode_bytes(payload))")],
    },
    Operator {
        name: "strip_html",
        version: 1,
        function: html::function,
        sets: &[("title", "strip_html(title)"), ("body", "strip_html(body)")],
    },
    Operator {
        name: "normalize",
        version: 1,
        function: normalize::function,
        sets: &[("title", "normalize(title)"), ("body", "normalize(body)")],
    },
    Operator {
        name: "to_simplified",
        version: 1,
        function: script::function,
        sets: &[("title", "to_simplified(title)"), ("body", "to_simplified(body)")],
    },
    // A declared language is believed, reduced to its ISO 639-1 code: `zh-Hans` and `zh_CN` are `zh`.
    Operator {
        name: "detect_lang",
        version: 1,
        function: lang::function,
        sets: &[(
            "lang",
            "CASE WHEN regexp_like(lang, '^[A-Za-z]{2}([-_].*)?$') THEN lower(substr(lang, 1, 2)) \
             WHEN title IS NOT NULL OR body IS NOT NULL THEN detect_lang(concat_ws(' ', title, body)) END",
        )],
    },
    Operator {
        name: "segment",
        version: 1,
        function: words::function,
        sets: &[(
            "tokens",
            "CASE WHEN title IS NOT NULL OR body IS NOT NULL THEN segment(concat_ws(' ', title, body)) END",
        )],
    },
];

/// The SQL functions of all operators. `segment` knows jieba's own dictionary only.
pub fn functions() -> Vec<ScalarUDF> {
    OPERATORS.iter().map(|operator| (operator.function)()).collect()
}

/// Makes all operators available to the SQL of `context`.
pub fn register_all(context: &SessionContext) {
    functions().into_iter().for_each(|function| context.register_udf(function));
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::Volatility;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_hide_no_function_of_datafusion() {
        let context = SessionContext::new();
        let mut seen: HashSet<String> = context.state().scalar_functions().keys().cloned().collect();
        for (operator, function) in OPERATORS.iter().zip(functions()) {
            assert_eq!(operator.name, function.name());
            assert!(seen.insert(operator.name.to_owned()), "{} is taken", operator.name);
        }
    }

    #[test]
    fn every_operator_is_immutable_and_documented() {
        for function in functions() {
            assert_eq!(function.signature().volatility, Volatility::Immutable, "{}", function.name());
            let documentation = function.documentation().unwrap();
            assert!(documentation.syntax_example.starts_with(function.name()));
            assert!(documentation.sql_example.is_some() && documentation.arguments.is_some());
        }
    }
}
