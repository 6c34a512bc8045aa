//! Files in, files out: every input row comes out once, labelled or dead-lettered, and other readers
//! can read it.

use std::collections::BTreeMap;
use std::path::Path;

use fenliu_tests::readers::python;
use serde_json::{Value, json};

use crate::fixtures::{articles, config, json as parse, run};

const CONFIG: &str = r#"
    [source]
    type = "files"
    paths = ["DIR/in.jsonl"]
    [clean]
    languages = ["en"]
    [model]
    bundle = "BUNDLE"
    [[sinks]]
    type = "files"
    path = "DIR/parquet"
    [[sinks]]
    type = "files"
    path = "DIR/arrow"
    format = "arrow"
    where = "label = 'earn'"
    [[sinks]]
    type = "files"
    path = "DIR/jsonl"
    format = "jsonl"
    columns = ["\"offset\"", "upper(label) AS label"]
    [dead_letters]
    type = "files"
    path = "DIR/dead"
"#;

/// Bad lines and the reason that each must be given.
fn bad_lines() -> Vec<(Vec<u8>, &'static str)> {
    let huge = json!({ "body": "x".repeat(50 << 20) }).to_string().into_bytes();
    vec![
        (b"{\"body\": \"cut".to_vec(), "invalid_json"),
        (b"[1, 2]".to_vec(), "rows"),
        (b"{\"body\": \"\xff\xfe\"}".to_vec(), "empty_text"),
        (b"{\"body\": true}".to_vec(), "missing_text"),
        (b"{\"id\": \"x\"}".to_vec(), "missing_text"),
        (b"{\"body\": \" \\u3000 \"}".to_vec(), "empty_text"),
        (b"{\"body\": \"<p></p>\"}".to_vec(), "empty_text"),
        ("{\"body\": \"中国队夺得冠军\"}".into(), "language"),
        (huge, "too_large"),
    ]
}

/// 400 articles with the bad lines among them, and the reason expected at each offset.
fn input() -> (Vec<Vec<u8>>, BTreeMap<usize, &'static str>) {
    let mut lines: Vec<(Vec<u8>, Option<&str>)> =
        articles(400).iter().map(|article| (article.to_string().into_bytes(), None)).collect();
    for (index, (line, reason)) in bad_lines().into_iter().enumerate() {
        lines.insert(17 * index, (line, Some(reason)));
    }
    let reasons =
        lines.iter().enumerate().filter_map(|(offset, (_, reason))| Some((offset, (*reason)?))).collect();
    (lines.into_iter().map(|(line, _)| line).collect(), reasons)
}

/// All rows of a directory of Parquet or Arrow files through pyarrow; bytes as `length:sha256`.
fn read(directory: &Path, format: &str) -> Vec<Value> {
    let code = r"
import hashlib, json, sys
import pyarrow.dataset as ds
rows = ds.dataset(sys.argv[1], format=sys.argv[2]).to_table().to_pylist()
def plain(value):
    if isinstance(value, bytes):
        return f'{len(value)}:{hashlib.sha256(value).hexdigest()}'
    return value if isinstance(value, (int, float, str, list, type(None))) else str(value)
print(json.dumps([{name: plain(value) for name, value in row.items()} for row in rows]))
";
    let rows = python(code, &[directory.to_str().unwrap(), format]).unwrap();
    serde_json::from_value(rows).unwrap()
}

#[test]
fn every_row_comes_out_once_labelled_or_dead_lettered() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (lines, reasons) = input();
    std::fs::write(path("in.jsonl"), lines.join(&b'\n')).unwrap();
    let summary = parse(&run(&["run", "-c", &config(directory.path(), CONFIG), "--json"]));
    assert_eq!(summary["documents"], lines.len());
    assert_eq!(summary["labelled"], 400);

    let labelled = read(&path("parquet"), "parquet");
    let dead = read(&path("dead"), "parquet");
    let mut offsets: Vec<usize> = labelled.iter().chain(&dead).map(offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..lines.len()).collect::<Vec<_>>());

    let found: BTreeMap<usize, &str> =
        dead.iter().map(|row| (offset(row), row["reason"].as_str().unwrap())).collect();
    assert_eq!(found, reasons);
    let code = "import hashlib,sys,json; lines=open(sys.argv[1],'rb').read().split(b'\\n'); print(json.dumps([f'{len(l)}:{hashlib.sha256(l).hexdigest()}' for l in lines]))";
    let digests = python(code, &[path("in.jsonl").to_str().unwrap()]).unwrap();
    for row in &dead {
        assert_eq!(row["payload"], digests[offset(row)], "the original bytes");
    }
    check_labelled(&labelled);
    check_other_sinks(&labelled, &path("arrow"), &path("jsonl"));
}

fn offset(row: &Value) -> usize {
    usize::try_from(row["offset"].as_u64().unwrap()).unwrap()
}

fn check_labelled(labelled: &[Value]) {
    let agreeing = labelled.iter().filter(|row| row["label"] == row["source_label"]).count();
    assert!(agreeing > 320, "{agreeing} of 400 labels agree: the model has learnt nothing");
    for row in labelled {
        let top = row["top_k"].as_array().unwrap();
        assert_eq!((&top[0]["label"], top.len()), (&row["label"], 3));
        assert_eq!((&row["lang"], &row["model_name"]), (&json!("en"), &json!("r8")));
        assert!(row["processed_at"].is_string() && row["model_version"].as_str().unwrap().len() == 26);
    }
}

fn check_other_sinks(labelled: &[Value], arrow: &Path, jsonl: &Path) {
    let earn = labelled.iter().filter(|row| row["label"] == "earn").count();
    assert!(earn > 0 && earn < labelled.len());
    assert_eq!(read(arrow, "arrow").len(), earn, "`where`");

    let mut files: Vec<_> = std::fs::read_dir(jsonl).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<Value> = labelled
        .iter()
        .map(|row| json!({ "offset": row["offset"], "label": row["label"].as_str().unwrap().to_uppercase() }))
        .collect();
    assert!(rows == expected, "`columns`, and the order of rows: {rows:?}");
}

#[test]
fn duckdb_counts_the_same_rows_and_parquet_can_be_an_input() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let lines: Vec<String> = articles(300).iter().map(Value::to_string).collect();
    std::fs::write(path("in.jsonl"), lines.join("\n")).unwrap();
    let file = config(directory.path(), CONFIG);
    run(&["run", "-c", &file, "--set", "output.body=true"]);
    let code = r#"
import duckdb, json, sys
print(json.dumps(duckdb.sql(f"""SELECT count(*), count(DISTINCT "offset"), count(label) FROM '{sys.argv[1]}/*.parquet'""").fetchone()))
"#;
    assert_eq!(python(code, &[path("parquet").to_str().unwrap()]).unwrap(), json!([300, 300, 300]));

    let again = format!("source.paths=[\"{}\"]", path("parquet").display());
    let second = format!("sinks=[{{type=\"files\", path=\"{}\"}}]", path("second").display());
    let summary = parse(&run(&["run", "-c", &file, "--json", "--set", &again, "--set", &second]));
    assert_eq!(summary["labelled"], 300, "what fenliu writes with `body`, it can read: {summary}");
}

#[test]
fn rows_go_to_standard_output_and_nothing_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<String> = articles(50).iter().map(Value::to_string).collect();
    std::fs::write(directory.path().join("in.jsonl"), lines.join("\n")).unwrap();
    let file = config(directory.path(), CONFIG);
    let stdout =
        run(&["run", "-c", &file, "--set", "sinks=[{type=\"stdout\", columns=[\"id\", \"label\"]}]"]);
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 50);
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 2));
}
