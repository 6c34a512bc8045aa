//! Strings with variables, and the problems of those that cannot be filled in.

use std::ffi::OsString;

use proptest::prelude::*;
use toml::Table;

use super::*;

fn lookup(name: &str) -> Result<String, VarError> {
    match name {
        "ROWS" => Ok("5".into()),
        "EMPTY" => Ok(String::new()),
        "SECRET" => Ok("a${ROWS}$$b${SECRET:-x}$".into()),
        "新闻" | "a.b-c" => Ok("odd".into()),
        "BINARY" => Err(VarError::NotUnicode(OsString::new())),
        _ => Err(VarError::NotPresent),
    }
}

fn expand(text: &str) -> Result<(String, Vec<Filled>), String> {
    let mut value = Value::Table(Table::from_iter([("k".to_string(), Value::from(text))]));
    let mut problems = Problems::default();
    let filled = expand_variables(&mut value, &Lines::default(), &lookup, &mut problems);
    let messages: Vec<String> = problems.problems.into_iter().map(|problem| problem.message).collect();
    let text = value["k"].as_str().unwrap().to_string();
    if messages.is_empty() { Ok((text, filled)) } else { Err(messages.join("; ")) }
}

#[test]
fn every_form_has_its_value() {
    let cases = [
        ("plain", "plain"),
        ("${ROWS}", "5"),
        ("a${ROWS}b${ROWS}c", "a5b5c"),
        ("${ROWS:-1000}", "5"),
        ("${NONE:-1000}", "1000"),
        ("${EMPTY}", ""),
        ("${EMPTY:-1000}", "1000"),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("${NONE:-pa$$word$}", "pa$word$"),
        ("${新闻}${a.b-c}", "oddodd"),
        ("$", "$"),
        ("a$b $1 ^x$", "a$b $1 ^x$"),
        ("$$", "$"),
        ("pa$$word", "pa$word"),
        ("$$$$", "$$"),
        ("$$$", "$$"),
        ("$${ROWS}", "${ROWS}"),
        ("$$${ROWS}", "$5"),
        ("$${ROWS", "${ROWS"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).unwrap().0, expected, "{text}");
    }
}

#[test]
fn what_a_variable_holds_is_not_expanded_again() {
    assert_eq!(expand("${SECRET}").unwrap().0, "a${ROWS}$$b${SECRET:-x}$");
    assert_eq!(expand("${SECRET}$${ROWS}").unwrap().0, "a${ROWS}$$b${SECRET:-x}$${ROWS}");
    assert_eq!(expand("${SECRET}{ROWS}").unwrap().0, "a${ROWS}$$b${SECRET:-x}${ROWS}");
}

#[test]
fn a_problem_names_its_variable_and_nothing_else_of_the_value() {
    let cases = [
        ("hunter2${NONE}", "the environment variable `NONE`, which is not set"),
        ("${NONE}hunter2${NADA}", "`NADA`, which is not set"),
        ("${BINARY:-hunter2}", "`BINARY`, which is not UTF-8"),
        ("${NONE-hunter2}", "`${NONE` and then something"),
        ("${NONE:?hunter2}", "`${NONE` and then something"),
        ("pass${+hunter2}", "`${` and then something"),
        ("hunter2${NONE", "without a closing"),
        ("hunter2${}", "without the name"),
    ];
    for (text, expected) in cases {
        let problem = expand(text).unwrap_err();
        assert!(problem.contains(expected) && !problem.contains("hunter2"), "{text}: {problem}");
    }
    assert_eq!(expand("${NONE}${NADA}").unwrap_err().matches("not set").count(), 2);
}

#[test]
fn only_a_string_that_is_one_variable_may_become_a_number() {
    let is_whole = |text: &str| expand(text).unwrap().1.first().map(|filled| filled.is_whole);
    let cases = [
        ("${ROWS}", Some(true)),
        ("${NONE:-7}", Some(true)),
        ("${ROWS}0", Some(false)),
        ("${ROWS}${ROWS}", Some(false)),
        (" ${ROWS}", Some(false)),
        ("$$", None),
        ("5", None),
    ];
    for (text, expected) in cases {
        assert_eq!(is_whole(text), expected, "{text}");
    }
}

#[test]
fn keys_whose_meaning_has_changed_are_collected_for_one_warning() {
    let text =
        "a = '$$'\nb = ['^x$', '$${ROWS}', '${SECRET}']\n[c]\n'd.e' = 'pa$$word'\nf = '$ $1 ${NONE:-$$}'";
    let mut value = Value::Table(text.parse().unwrap());
    let (lines, mut problems) = (Lines::default(), Problems::default());
    let mut expansion = Expansion {
        lines: &lines,
        lookup: &lookup,
        problems: &mut problems,
        path: vec![],
        filled: vec![],
        escaped: vec![],
    };
    expansion.visit(&mut value, "");
    assert_eq!(expansion.escaped, ["a", "b[1]", "c.d.e"]);
}

proptest! {
    #[test]
    fn total_on_any_text(text in "(\\PC|[${}:\\-]|ROWS){0,30}") {
        let _ = expand(&text);
    }

    #[test]
    fn text_without_a_dollar_sign_stays(text in "[^$]{0,30}") {
        prop_assert_eq!(expand(&text).unwrap(), (text, vec![]));
    }

    #[test]
    fn an_escaped_text_expands_to_itself(text in "(\\PC|[${}]|ROWS){0,30}") {
        let mut value = Value::String(text.clone());
        escape_variables(&mut value);
        prop_assert_eq!(expand(value.as_str().unwrap()).unwrap(), (text, vec![]));
    }

    #[test]
    fn what_a_variable_holds_arrives_unchanged(content in "(\\PC|[${}]|ROWS){1,30}") {
        let held = |_: &str| Ok(content.clone());
        for text in ["${ANY}", "${ANY:-default}"] {
            let mut value = Value::String(text.to_string());
            let mut problems = Problems::default();
            expand_variables(&mut value, &Lines::default(), &held, &mut problems);
            prop_assert_eq!(value.as_str().unwrap(), &content);
            prop_assert!(problems.problems.is_empty());
        }
    }
}
