//! Files of any kind as a source: what is read, what is left out and said so, and that every row comes out once, whatever
//! happens in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fenliu_tests::binary;
use fenliu_tests::readers::python;
use serde_json::Value;

use crate::fixtures::{PATIENCE, config, fails, json, run};

const CONFIG: &str = r#"
    [source]
    type = "files"
    paths = ["DIR/PATHS"]
    SOURCE
    [output]
    body = true
    decode_warnings = true
    [[sinks]]
    type = "files"
    path = "DIR/rows"
    format = "jsonl"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
    format = "jsonl"
    [epoch]
    max_age = "100ms"
    max_rows = 500
"#;

/// A directory with a source in it, and what a pipeline without a model makes of that.
struct Inputs {
    directory: tempfile::TempDir,
    config: String,
}

impl Inputs {
    /// `paths` are read, below the directory; `source` are further settings of the source.
    fn new(paths: &str, source: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("PATHS", paths).replace("SOURCE", source);
        let config = config(directory.path(), &text);
        Inputs { directory, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn run(&self) -> Value {
        json(&run(&["run", "-c", &self.config, "--json"]))
    }

    /// All rows below `rows` or `dead`.
    fn rows(&self, of: &str) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path(of))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The ids of all rows, sorted.
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.rows("rows").iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// Writes a Parquet file, an Arrow stream and a Feather file with pyarrow.
fn tables(directory: &Path) {
    let code = r"
import sys, pyarrow as pa, pyarrow.parquet, pyarrow.feather
where = sys.argv[1]
def table(name):
    return pa.table({'ID': [name], 'TITLE': [f'story {name}'], 'other': [{'a': 1}]})
pa.parquet.write_table(table('parquet'), f'{where}/p.parquet', compression='zstd')
pa.feather.write_feather(table('feather'), f'{where}/f.feather', compression='lz4')
with pa.OSFile(f'{where}/s.arrow', 'wb') as file, pa.ipc.new_stream(file, table('stream').schema) as writer:
    writer.write_table(table('stream'))
print(0)
";
    python(code, &[directory.to_str().unwrap()]).unwrap();
}

#[test]
fn a_directory_is_read_with_everything_in_it_and_what_is_left_out_is_named() {
    let inputs = Inputs::new("archive", "");
    let line = |id: &str| format!("{{\"id\":\"{id}\",\"title\":\"story {id}\"}}\n");
    inputs.write("archive/a.jsonl", line("lines"));
    inputs.write("archive/b.jsonl.gz", gzip(line("gzip").as_bytes()));
    inputs.write("archive/c.csv", "id;title\ncsv;\"a story; with a\nline break\"\n");
    inputs.write("archive/array.json", format!("[{}]", line("array").trim()));
    inputs.write(
        "archive/api.json",
        format!("{{\"status\":\"ok\",\"articles\":[{}]}}", line("wrapped").trim()),
    );
    inputs.write("archive/2024/05/deep.ndjson", line("deep"));
    inputs.write("archive/day=2024-05-01/lang=zh/part-0.jsonl", "{\"id\":\"hive\",\"title\":\"央行降息\"}\n");
    let utf16: Vec<u8> = line("utf16").encode_utf16().flat_map(u16::to_le_bytes).collect();
    inputs.write("archive/utf16.jsonl", [b"\xff\xfe".to_vec(), utf16].concat());
    inputs.write("archive/_SUCCESS", "");
    inputs.write("archive/.hidden.jsonl", line("hidden"));
    inputs.write("archive/b.xlsx", b"PK\x03\x04");
    tables(&inputs.path("archive"));
    let said = binary::start(&["run", "-c", &inputs.config]).unwrap().wait(PATIENCE).unwrap();
    assert!(said.events("files_skipped") == 1 && said.stderr.contains("b.xlsx"), "{}", said.stderr);
    assert!(said.events("files_hidden") == 1 && said.stderr.contains(".hidden.jsonl"), "{}", said.stderr);
    let expected =
        ["array", "csv", "deep", "feather", "gzip", "hive", "lines", "parquet", "stream", "utf16", "wrapped"];
    assert_eq!(inputs.ids(), expected);
    assert!(inputs.rows("dead").is_empty(), "{:?}", inputs.rows("dead"));
    let hive = inputs.rows("rows").into_iter().find(|row| row["id"] == "hive").unwrap();
    assert_eq!(hive["lang"], "zh");
    run(&["verify", "-c", &inputs.config]);
    assert_eq!(inputs.run()["documents"], 0, "everything is there already");
}

#[test]
fn a_named_file_of_another_kind_is_an_error() {
    let inputs = Inputs::new("b.pdf", "");
    inputs.write("b.pdf", "%PDF-1.7");
    let error = fails(&["run", "-c", &inputs.config], 1);
    assert!(error.contains("b.pdf") && error.contains("PDF"), "{error}");
}

#[test]
fn a_line_that_is_being_written_is_read_when_it_is_whole() {
    let inputs = Inputs::new("grow.jsonl", "");
    inputs.write("grow.jsonl", "{\"id\":\"a\",\"title\":\"A\"}\n{\"id\":\"b\",\"ti");
    inputs.run();
    assert_eq!(inputs.ids(), ["a"]);
    inputs.write(
        "grow.jsonl",
        "{\"id\":\"a\",\"title\":\"A\"}\n{\"id\":\"b\",\"title\":\"B\"}\n{\"id\":\"c\",\"title\":\"C\"}",
    );
    inputs.run();
    assert_eq!(inputs.ids(), ["a", "b", "c"]);
    assert!(inputs.rows("dead").is_empty());
}

#[test]
fn a_file_that_was_replaced_stops_the_pipeline_or_is_read_from_its_beginning() {
    let inputs = Inputs::new("news.jsonl", "");
    inputs.write("news.jsonl", "{\"id\":\"old\",\"title\":\"Old\"}\n");
    inputs.run();
    inputs
        .write("news.jsonl", "{\"id\":\"new-1\",\"title\":\"New\"}\n{\"id\":\"new-2\",\"title\":\"New\"}\n");
    let error = fails(&["run", "-c", &inputs.config], 1);
    assert!(error.contains("news.jsonl") && error.contains("source.replaced"), "{error}");
    let args = ["run", "-c", &inputs.config, "--set", "source.replaced=\"read\""];
    run(&args);
    run(&args);
    assert_eq!(inputs.ids(), ["new-1", "new-2", "old"]);
}

#[test]
fn deletions_are_counted_and_are_no_failures() {
    let inputs = Inputs::new("in.jsonl", "");
    let event = |id: usize| match id % 2 {
        0 => format!("{{\"before\":null,\"after\":{{\"id\":{id},\"title\":\"第{id}条\"}},\"op\":\"c\"}}\n"),
        _ => format!(
            "{{\"payload\":{{\"before\":{{\"id\":{id},\"title\":\"x\"}},\"after\":null,\"op\":\"d\"}}}}\n"
        ),
    };
    inputs.write("in.jsonl", (0..2000).map(event).collect::<String>());
    let summary =
        json(&run(&["run", "-c", &inputs.config, "--json", "--set", "documents.preset=\"debezium\""]));
    assert_eq!(summary["labelled"], 1000, "{summary}");
    assert_eq!(inputs.rows("rows").len(), 1000);
    assert!(inputs.rows("dead").is_empty());
    run(&["verify", "-c", &inputs.config, "--set", "documents.preset=\"debezium\""]);
}

/// The rows of a source are there once each although the process was killed again and again while it read them.
fn survives_kills(name: &str, bytes: &[u8], rows: usize) {
    let inputs = Inputs::new(name, "");
    inputs.write(name, bytes);
    let kills: usize = std::env::var("FAULTS").ok().and_then(|faults| faults.parse().ok()).unwrap_or(3);
    for kill in 0..kills {
        let running = binary::start(&["run", "-q", "-c", &inputs.config]).unwrap();
        // Long enough to commit something, and not always the same.
        std::thread::sleep(Duration::from_millis(250 + 37 * (kill as u64 % 11)));
        drop(running);
    }
    inputs.run();
    let mut offsets: BTreeMap<u64, usize> = BTreeMap::new();
    for row in inputs.rows("rows") {
        *offsets.entry(row["offset"].as_u64().unwrap()).or_default() += 1;
    }
    assert_eq!(offsets.len(), rows, "{name}: lost");
    assert!(offsets.values().all(|count| *count == 1), "{name}: twice");
}

#[test]
fn a_compressed_file_survives_kills() {
    let lines: String =
        (0..20_000).map(|id| format!("{{\"id\":{id},\"title\":\"第{id}条新闻\"}}\n")).collect();
    survives_kills("in.jsonl.gz", &gzip(lines.as_bytes()), 20_000);
}

#[test]
fn a_csv_file_survives_kills() {
    let lines: String = (0..20_000).map(|id| format!("{id},\"第{id}条\n新闻\"\n")).collect();
    survives_kills("in.csv", format!("id,title\n{lines}").as_bytes(), 20_000);
}

#[test]
fn a_parquet_file_survives_kills() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.parquet");
    let code = r"
import sys, pyarrow as pa, pyarrow.parquet
ids = list(range(20000))
table = pa.table({'id': ids, 'title': [f'story {id}' for id in ids]})
pa.parquet.write_table(table, sys.argv[1], row_group_size=3000)
print(0)
";
    python(code, &[path.to_str().unwrap()]).unwrap();
    survives_kills("in.parquet", &fs::read(path).unwrap(), 20_000);
}
