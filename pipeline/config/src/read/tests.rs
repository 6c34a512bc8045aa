//! Whole configurations: types of values from the environment, and what the problems show.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::load::{Format, load, parse};
use crate::problems::Problems;
use crate::properties::{Properties, properties};
use crate::renamed::Renamed;

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Config {
    name: String,
    max_rows: usize,
    small: u8,
    level: i32,
    share: f64,
    enabled: bool,
    maybe: Option<u64>,
    flag: Option<bool>,
    #[serde(with = "humantime_serde")]
    wait: Duration,
    memory: ByteSize,
    counts: Vec<u32>,
    format: Encoding,
    registry: Registry,
    #[serde(deserialize_with = "properties")]
    properties: Properties,
    sinks: Vec<Sink>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Json,
    Avro,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Registry {
    password: String,
}

/// As the sinks of fenliu: serde reads these values without telling their path.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Sink {
    Files(FilesSink),
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct FilesSink {
    path: String,
    rows: usize,
    epochs: usize,
    keep: bool,
    share: f64,
}

const FORMAT: Format = Format {
    types: &[],
    renamed: &[Renamed { section: "", old: "maximum", new: "max_rows" }],
    renamed_values: &[],
};

const VARIABLES: [(&str, &str); 14] = [
    ("INT", "12345"),
    ("SAME", "12345"),
    ("NEGATIVE", "-7"),
    ("FLOAT", "0.25"),
    ("TRUE", "true"),
    ("FALSE", "False"),
    ("CARRIED", "12345\r\n"),
    ("SECONDS", "20ms"),
    ("SIZE", "3 MiB"),
    ("AVRO", "avro"),
    ("TYPE", "files"),
    ("EMPTY", ""),
    ("SECRET", "hunter2"),
    ("DOLLARS", "a${INT}$$b"),
];

fn variable(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
}

fn read(text: &str) -> Result<Config, Problems> {
    parse(text, "t.toml", &[], &variable, &FORMAT)
}

fn problems(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_variable_has_the_type_that_its_key_wants() {
    let cases = [
        ("max_rows = '${INT}'", "max_rows = 12345"),
        ("max_rows = '${CARRIED}'", "max_rows = 12345"),
        ("max_rows = '${NONE:-1000}'", "max_rows = 1000"),
        ("max_rows = '${EMPTY:-1000}'", "max_rows = 1000"),
        ("maximum = '${INT}'", "max_rows = 12345"),
        ("level = '${NEGATIVE}'", "level = -7"),
        ("share = '${FLOAT}'", "share = 0.25"),
        ("share = '${INT}'", "share = 12345.0"),
        ("enabled = '${TRUE}'", "enabled = true"),
        ("enabled = '${NONE:-true}'", "enabled = true"),
        ("enabled = '${FALSE}'", "enabled = false"),
        ("maybe = '${INT}'\nflag = '${TRUE}'", "maybe = 12345\nflag = true"),
        ("wait = '${SECONDS}'", "wait = '20ms'"),
        ("wait = '${NONE:-20}ms'", "wait = '20ms'"),
        ("memory = '${SIZE}'", "memory = '3 MiB'"),
        ("memory = '${INT}'", "memory = 12345"),
        ("counts = ['${INT}', 5, '${NONE:-6}']", "counts = [12345, 5, 6]"),
        ("format = '${AVRO}'", "format = 'avro'"),
        ("name = '${INT}'", "name = '12345'"),
        ("name = '${TRUE}'", "name = 'true'"),
        ("name = '${CARRIED}'", "name = \"12345\\r\\n\""),
        ("registry.password = '${INT}'", "registry.password = '12345'"),
        ("registry.password = '${DOLLARS}'", "registry.password = 'a$${INT}$$$$b'"),
        (
            "properties = { 'sasl.password' = '${INT}', x = 5 }",
            "properties = { 'sasl.password' = '12345', x = 5 }",
        ),
        ("properties = { 'sasl.password' = '${FLOAT}' }", "properties = { 'sasl.password' = '0.25' }"),
    ];
    for (written, meant) in cases {
        let read = |text| read(text).unwrap_or_else(|problems| panic!("{text}: {problems}"));
        assert_eq!(read(written), read(meant), "{written}");
    }
}

#[test]
fn several_variables_in_a_section_with_a_type_are_converted() {
    let written = "[[sinks]]\ntype = '${TYPE}'\npath = '${INT}'\nrows = '${INT}'\nepochs = '${SAME}'\nkeep = '${TRUE}'\n\
                   share = '${FLOAT}'\n[[sinks]]\ntype = 'files'\nrows = '${NONE:-8}'";
    let meant = "[[sinks]]\ntype = 'files'\npath = '12345'\nrows = 12345\nepochs = 12345\nkeep = true\nshare = 0.25\n\
                 [[sinks]]\ntype = 'files'\nrows = 8";
    assert_eq!(read(written).unwrap(), read(meant).unwrap());
}

#[test]
fn a_string_of_the_file_does_not_become_a_number() {
    for text in ["max_rows = '5'", "enabled = 'true'", "max_rows = '${INT}0'", "max_rows = '1${EMPTY}'"] {
        assert!(problems(text).contains("invalid type: string"), "{text}");
    }
}

#[test]
fn an_override_may_have_a_variable() {
    let overrides = ["max_rows=${INT}", "sinks.0.rows=${NONE:-3}"].map(str::to_string);
    let text = "max_rows = '${NONE}'\n[[sinks]]\ntype = 'files'";
    let config: Config = parse(text, "t.toml", &overrides, &variable, &FORMAT).unwrap();
    assert_eq!(config.max_rows, 12345);
    assert_eq!(config.sinks, [Sink::Files(FilesSink { rows: 3, ..FilesSink::default() })]);
    let overrides = ["max_rows=${NONE}".to_string()];
    let problems = parse::<Config>(text, "t.toml", &overrides, &variable, &FORMAT).unwrap_err();
    assert_eq!(problems.problems.len(), 1);
    assert_eq!(problems.problems[0].message, "names the environment variable `NONE`, which is not set");
}

#[test]
fn a_variable_that_is_not_set_is_named_with_key_and_line_once() {
    let cases = [
        ("\nname = '${NONE}'", "`name` in line 2 names the environment variable `NONE`, which is not set"),
        ("max_rows = '${NONE}'", "`max_rows` in line 1 names"),
        ("\u{FEFF}\r\n\r\nmaximum = '${NONE}'", "`max_rows` in line 3 names"),
        ("[[sinks]]\ntype = 'files'\nrows = '${NONE}'", "`sinks[0].rows` in line 3 names"),
        ("counts = [\n1,\n'${NONE}']", "`counts[1]` in line 3 names"),
        ("[properties]\n'sasl.password' = 'x${NONE}'", "`properties.sasl.password` in line 2 names"),
        ("name = 'a${B'", "`name` in line 1 has `${` without a closing `}`"),
    ];
    for (text, expected) in cases {
        let problems = problems(text);
        assert!(problems.contains(expected) && problems.contains(": 1 problem\n"), "{text}: {problems}");
    }
    assert_eq!(read("name = '${NONE}${NADA}'\nmax_rows = '${NONE}'").unwrap_err().problems.len(), 3);
}

#[test]
fn a_value_that_does_not_fit_is_named_by_its_variable_without_what_that_holds() {
    let sink = |line: &str| format!("[[sinks]]\ntype = 'files'\n{line}");
    let cases = [
        ("max_rows = '${SECRET}'".into(), "`max_rows` in line 1 is \"${SECRET}\""),
        ("max_rows = '${SECRET}'".into(), "string \"${SECRET}\", expected usize"),
        ("max_rows = '${EMPTY}'".into(), "expected usize"),
        ("max_rows = '${FLOAT}'".into(), "expected usize"),
        ("small = '${INT}'".into(), "string \"${INT}\", expected u8"),
        ("enabled = '${INT}'".into(), "expected a boolean"),
        ("wait = '${SECRET}'".into(), "expected a duration"),
        ("wait = '${SECRET}ms'".into(), "\"${SECRET}ms\", expected a duration"),
        ("memory = '${SECRET}'".into(), "`memory` in line 1 is \"${SECRET}\""),
        ("format = '${SECRET}'".into(), "unknown variant `${SECRET}`, expected `json` or `avro`"),
        ("counts = [1, '${SECRET}']".into(), "`counts[1]`"),
        (sink("rows = '${SECRET}'"), "`sinks[0].rows` in line 3"),
        (sink("rows = '${SECRET}'\nepochs = '${SECRET}'"), "expected usize"),
        (sink("rows = '${INT}'\nepochs = '${SECRET}'\nkeep = '${INT}'"), "`sinks[0].epochs` in line 4"),
        (sink("type = '${SECRET}'").replace("type = 'files'\n", ""), "expected `files`"),
        ("nmae = '${SECRET}'".into(), "`nmae` unknown field"),
        (sink("pth = '${SECRET}'"), "`sinks[0].pth` unknown field"),
    ];
    for (text, expected) in cases {
        let problems = problems(&text);
        assert!(problems.contains(expected), "{text}: {problems}");
        assert!(!problems.contains("hunter2") && !problems.contains("12345"), "{text}: {problems}");
    }
}

#[test]
fn problems_never_show_a_secret_of_the_file() {
    let cases = [
        ("registry.password = 424242", "`registry.password` is ********: expected a string"),
        ("registry.password = ['424242']", "is ********: expected a string"),
        ("registry.pasword = '424242'", "`registry.pasword` unknown field"),
        ("properties = { 'sasl.password' = ['424242'] }", "must be a string"),
        ("a = 1\nb = '424242\n", "line 2"),
        ("a = 1\nb = 4242 42", "line 2"),
    ];
    for (text, expected) in cases {
        let problems = problems(text);
        assert!(problems.contains(expected), "{text}: {problems}");
        assert!(!problems.contains("4242"), "{text}: {problems}");
    }
    for text in ["registry.password 424242", "registry.password:424242", "registry.\"password=424242"] {
        let problems =
            parse::<Config>("", "t", &[text.to_string()], &variable, &FORMAT).unwrap_err().to_string();
        assert!(problems.contains("registry") && !problems.contains("424242"), "{problems}");
    }
}

#[test]
fn a_file_of_windows_gives_the_same_configuration() {
    let text = "# 新闻\nname = '''\na\nb'''\nmax_rows = 5\n[properties]\n\"x\" = \"\"\"\ny\\\n  z\n\"\"\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        load::<Config>(Some(&path), &[], &FORMAT)
    };
    let plain = file("plain.toml", text.as_bytes()).unwrap();
    assert_eq!(plain.properties, BTreeMap::from([("x".to_string(), "yz\n".to_string())]));
    let windows = format!("\u{FEFF}{}", text.replace('\n', "\r\n"));
    assert_eq!(file("windows.toml", windows.as_bytes()).unwrap(), plain);
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let problem = file("utf16.toml", &utf16).unwrap_err().to_string();
    assert!(problem.contains("utf16.toml is UTF-16 but must be UTF-8"), "{problem}");
    let problem = file("gbk.toml", b"max_rows = 5\nname = '\xd0\xc2'").unwrap_err().to_string();
    assert!(problem.contains("gbk.toml is not UTF-8: line 2"), "{problem}");
}

#[test]
fn a_variable_of_the_process_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "name = '${CARGO_PKG_NAME}'").unwrap();
    assert_eq!(load::<Config>(Some(&path), &[], &FORMAT).unwrap().name, "fenliu-config");
}
