//! Tests that `operators/README.md` is true: its reference is generated, and its examples run.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use arrow::util::display::array_value_to_string;
use fenliu_schemas::raw;
use fenliu_text::Segmenter;
use serde::Deserialize;

use crate::function::{Example, Reference};
use crate::registry::{OPERATORS, Operator};
use crate::sql::{Compiler, RequiredType};
use crate::{CleanConfig, Plan};

const README: &str = include_str!("../README.md");

/// The markers around the generated part; the first one also tells how to update it.
const BEGIN: &str = "<!-- Generated from the references in src/functions. To update: FENLIU_UPDATE=1 cargo \
                     test -p fenliu-operators reference -->\n";
const END: &str = "<!-- end of the generated part -->\n";

/// Splits the README into the generated part and the parts before and after it.
fn parts() -> (&'static str, &'static str, &'static str) {
    let (before, rest) = README.split_once(BEGIN).unwrap();
    let (generated, after) = rest.split_once(END).unwrap();
    (before, generated, after)
}

/// The reference of all operators, in Markdown.
fn generate() -> String {
    let index = OPERATORS.iter().map(|operator| {
        let (name, sentences) = (operator.name(), operator.reference.summary);
        let first = sentences.split_inclusive(". ").next().unwrap().trim_end().trim_end_matches(['.', ':']);
        format!("| [`{name}`](#{name}) | {first} |\n")
    });
    let table = format!("\n| operator | what it does |\n|---|---|\n{}", index.collect::<String>());
    OPERATORS.iter().fold(table, |all, operator| all + &section(operator))
}

fn section(operator: &Operator) -> String {
    let Reference { name, syntax, summary, rules, arguments, returns, examples, related } =
        operator.reference;
    let rules: String = rules.iter().map(|rule| format!("- {rule}\n")).collect();
    let arguments: String =
        arguments.iter().map(|(argument, description)| format!("- `{argument}`: {description}\n")).collect();
    let examples: Vec<String> = examples.iter().map(Example::statement).collect();
    let sets: String =
        operator.sets.iter().map(|(column, sql)| format!("- `{column}` to `{sql}`\n")).collect();
    let related: Vec<String> = related.iter().map(|name| format!("[`{name}`](#{name})")).collect();
    format!(
        "\n### {name}\n\n`{syntax}`\n\n{summary}\n\n{rules}\nArguments:\n\n{arguments}\nReturns: \
         {returns}\n\n```sql\n{}\n```\n\nAs a step, it sets\n\n{sets}\nSee also: {}. Version of the results: \
         {}.\n",
        examples.join("\n"),
        related.join(", "),
        operator.version,
    )
}

#[test]
fn the_reference_in_the_readme_is_that_of_the_functions() {
    let (before, found, after) = parts();
    let generated = generate();
    if std::env::var_os("FENLIU_UPDATE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        fs::write(path, [before, BEGIN, &generated, END, after].concat()).unwrap();
    } else {
        assert!(found == generated, "operators/README.md is out of date; {BEGIN}");
    }
}

/// The value of a SQL expression without columns, as text.
pub(crate) fn value(sql: &str) -> String {
    let expression = Compiler::new(Segmenter::default())
        .compile("example", sql, &Schema::empty(), &RequiredType::Any)
        .unwrap_or_else(|error| panic!("{error}"));
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    array_value_to_string(&expression.evaluate(&row).unwrap(), 0).unwrap()
}

#[test]
fn every_example_has_the_result_that_it_states() {
    for operator in OPERATORS {
        assert!(!operator.reference.examples.is_empty(), "{}", operator.name());
        for Example { sql, result } in operator.reference.examples {
            assert_eq!(value(sql), *result, "{sql}");
        }
    }
}

#[test]
fn null_gives_null() {
    for operator in OPERATORS {
        let sql = format!("{}(NULL) IS NULL", operator.name());
        assert_eq!(value(&sql), "true", "{sql}");
    }
}

#[test]
fn related_operators_exist_and_every_argument_is_in_the_syntax() {
    for Reference { name, syntax, arguments, related, .. } in
        OPERATORS.iter().map(|operator| operator.reference)
    {
        for other in *related {
            assert!(OPERATORS.iter().any(|operator| operator.name() == *other), "{name} refers to {other}");
        }
        for (argument, _) in *arguments {
            assert!(syntax.contains(argument), "{syntax} lacks {argument}");
        }
    }
}

/// The blocks of the README in `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_configuration_in_the_readme_compiles() {
    #[derive(Deserialize)]
    struct Config {
        clean: CleanConfig,
    }
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let config: Config = toml::from_str(block).unwrap();
        Plan::try_new(&config.clean, &raw::schema()).unwrap();
    }
}

#[test]
fn the_dictionary_in_the_readme_is_valid() {
    let entries: Vec<_> = fenliu_text::entries(blocks("text")[0]).collect();
    assert_eq!(entries.iter().filter(|entry| entry.is_ok()).count(), 3, "{entries:?}");
}
