//! Delta tables of others: what a table asks of those who write to it is honoured, or the table is refused by name,
//! by `check` and by `run` alike, before a data file is written. The tables are made, and read, by the `deltalake`
//! package for Python, or their logs are written by hand where it cannot make them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fenliu_tests::binary::{self, Finished};
use fenliu_tests::readers::python;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, json as parse, run};

/// A refusal must come soon: retrying would take longer than this.
const SOON: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
    [source]
    type = "files"
    paths = ["DIR/in.jsonl"]
    [[sinks]]
    type = "delta"
    path = "DIR/table"
    columns = ["id", "title", "topic", "partition", "offset"]
    [dead_letters]
    path = "DIR/dead"
"#;

/// What Python code begins with: the columns of a table for these rows.
const PRELUDE: &str = r"
import base64, json, os, struct, sys, uuid
import pyarrow
from deltalake import DeltaTable, Field, Schema, TableFeatures
from deltalake.schema import PrimitiveType
path = sys.argv[1]
fields = [Field('id', 'string'), Field('title', 'string'), Field('topic', 'string'),
          Field('partition', 'integer'), Field('offset', 'long')]
def create(*more, **options):
    return DeltaTable.create(path, Schema([*fields, *more]), **options)
def rows():
    return sorted(DeltaTable(path).to_pyarrow_table().to_pylist(), key=lambda row: row['offset'])
def scanned():
    # pyarrow does not know deletion vectors.
    return sorted(row['title'] for row in pyarrow.table(DeltaTable(path).scan().read_all()).to_pylist())
";

/// A pipeline from a file to a table, without a model.
struct Job {
    directory: TempDir,
    config: String,
}

impl Job {
    fn new(titles: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lines: Vec<_> =
            titles.iter().map(|title| json!({ "id": title, "title": title }).to_string()).collect();
        fs::write(directory.path().join("in.jsonl"), lines.join("\n") + "\n").unwrap();
        let config = directory.path().join("fenliu.toml");
        fs::write(&config, CONFIG.replace("DIR", &directory.path().display().to_string())).unwrap();
        Job { config: config.display().to_string(), directory }
    }

    fn table(&self) -> std::path::PathBuf {
        self.directory.path().join("table")
    }

    /// Runs Python on the table, after the prelude.
    fn python(&self, code: &str) -> Value {
        python(&format!("{PRELUDE}\n{code}"), &[&self.table().display().to_string()]).unwrap()
    }

    /// As [`python`](Self::python), for what gives nothing back.
    fn make(&self, code: &str) {
        self.python(&format!("{code}\nprint('null')"));
    }

    /// The titles in the table, as Python reads them.
    fn titles(&self) -> Value {
        self.python("print(json.dumps([row['title'] for row in rows()]))")
    }

    fn command(&self, command: &str) -> Finished {
        binary::run(&[command, "-c", &self.config], SOON).unwrap()
    }

    /// `check` and `run` refuse the table with all of `words`, and leave it as it is.
    fn assert_refused(&self, words: &[&str]) {
        let before = (count(&self.table().join("_delta_log"), "json"), count(&self.table(), "parquet"));
        for command in ["check", "run"] {
            let finished = self.command(command);
            let said = &finished.stderr;
            assert_eq!(finished.status.code(), Some(1), "{command}: {said}");
            assert!(words.iter().all(|word| said.contains(word)), "{command}: no {words:?} in {said}");
            assert!(said.contains(&self.table().display().to_string()), "{command}: {said}");
        }
        let after = (count(&self.table().join("_delta_log"), "json"), count(&self.table(), "parquet"));
        assert_eq!(before, after, "commits and data files");
    }

    /// `check` and `run` accept the table.
    fn assert_written(&self, titles: &[&str]) {
        for command in ["check", "run"] {
            let finished = self.command(command);
            assert!(finished.status.success(), "{command}: {}", finished.stderr);
        }
        assert_eq!(self.titles(), json!(titles));
        run(&["verify", "-c", &self.config]);
    }
}

fn count(directory: &Path, end: &str) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|found| found == end)).count()
}

#[test]
fn a_table_that_asks_for_more_is_refused_before_a_data_file_is_written() {
    let generated =
        "create(Field('length', 'integer', metadata={'delta.generationExpression': 'length(title)'}))";
    let invariant = "rule = json.dumps({'expression': {'expression': \"author != 'me'\"}})\n\
                     create(Field('author', 'string', metadata={'delta.invariants': rule}))";
    let required = "create(Field('author', 'string', nullable=False))";
    for (made_by, words) in [
        (
            "create().alter.add_constraint({'no_spam': \"title != 'spam'\"})",
            ["CHECK constraint", "`no_spam`"],
        ),
        (generated, ["generated column `length`", "length(title)"]),
        (required, ["`author`", "needs a value"]),
        ("create().alter.add_feature(TableFeatures.RowTracking, True)", ["`rowTracking`", "ALTER TABLE"]),
        ("create().alter.add_feature(TableFeatures.V2Checkpoint, True)", ["`v2Checkpoint`", "ALTER TABLE"]),
        (invariant, ["the column `author` with the invariant", "author != 'me'"]),
    ] {
        let job = Job::new(&["Fine", "spam"]);
        job.make(made_by);
        job.assert_refused(&words);
    }
}

#[test]
fn a_table_that_asks_for_nothing_more_is_written_to() {
    for made_by in [
        "create(configuration={'delta.appendOnly': 'true', 'delta.enableChangeDataFeed': 'true'})",
        "create().alter.add_feature([TableFeatures.CheckConstraints, TableFeatures.GeneratedColumns], True)",
        "create(Field('seen', PrimitiveType('timestamp_ntz')), Field('author', 'string'))",
    ] {
        let job = Job::new(&["Fine", "Good"]);
        job.make(made_by);
        job.assert_written(&["Fine", "Good"]);
    }
}

#[test]
fn an_append_only_table_is_compacted_too() {
    let job = Job::new(&["Fine"]);
    job.make("create(configuration={'delta.appendOnly': 'true'})");
    job.assert_written(&["Fine"]);
    fs::write(job.directory.path().join("more.jsonl"), "{\"id\": \"2\", \"title\": \"Good\"}\n").unwrap();
    let both = format!("source.paths=[\"{0}/in.jsonl\", \"{0}/more.jsonl\"]", job.directory.path().display());
    run(&["run", "-c", &job.config, "--set", &both]);
    let done = parse(&run(&["compact", "-c", &job.config, "--vacuum", "0", "--json"]));
    assert_eq!((&done[0]["replaced"], &done[0]["removed"]), (&json!(2), &json!(2)), "{done}");
    assert_eq!(job.python("print(json.dumps(len(rows())))"), json!(2));
}

/// Rows go to files first, then a file becomes part of the table: a rule may come in between.
#[test]
fn a_rule_that_comes_between_files_and_commit_keeps_them_out() {
    let job = Job::new(&["Fine", "spam"]);
    job.make("create()");
    let finished = job.meanwhile("DeltaTable(path).alter.add_constraint({'no_spam': \"title != 'spam'\"})");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("`no_spam`"), "{}", finished.stderr);
    assert_eq!(job.titles(), json!([]));
}

#[test]
fn columns_that_must_have_a_value_from_now_on_are_looked_at_again() {
    let job = Job::new(&["Fine"]);
    job.make("create()");
    let finished = job.meanwhile(
        "log = os.path.join(path, '_delta_log')\n\
         number = len(os.listdir(log))\n\
         first = [json.loads(line) for line in open(os.path.join(log, f'{0:020}.json'))]\n\
         action = next(action for action in first if 'metaData' in action)\n\
         schema = json.loads(action['metaData']['schemaString'])\n\
         for field in schema['fields']:\n    field['nullable'] = field['name'] not in ('id', 'title')\n\
         action['metaData']['schemaString'] = json.dumps(schema)\n\
         action['metaData']['configuration'] = {'owner': 'someone'}\n\
         open(os.path.join(log, f'{number:020}.json'), 'w').write(json.dumps(action))",
    );
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(job.titles(), json!(["Fine"]));
    // Written again, since the first file was made without the rule.
    assert_eq!(count(&job.table(), "parquet"), 2);
}

impl Job {
    /// Runs the pipeline, and Python on the table when the rows are in a file but not in the table.
    fn meanwhile(&self, code: &str) -> Finished {
        let faults = [("FAILPOINTS", "delta-before-commit=1*sleep(8000)->off")];
        let mut running = binary::start_with(&["run", "-c", &self.config, "-v"], &faults).unwrap();
        for _ in 0..400 {
            if count(&self.table(), "parquet") > 0 {
                break;
            }
            assert!(!running.has_ended().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.make(code);
        running.wait(PATIENCE).unwrap()
    }
}

/// A deletion vector within the log, as Spark writes small ones: the row at 1 is deleted.
const DELETE_SECOND: &str = r"
log = os.path.join(path, '_delta_log')
number = len([name for name in os.listdir(log) if name.endswith('.json')])
actions = [json.loads(line) for name in sorted(os.listdir(log)) for line in open(os.path.join(log, name))]
add = next(action['add'] for action in actions if 'add' in action)
# A 64 bit bitmap of one 32 bit bitmap of one array container with the one value 1.
bitmap = struct.pack('<IIHHIH', 12346, 1, 0, 0, 16, 1)
payload = struct.pack('<iQI', 1681511377, 1, 0) + bitmap
size = len(payload)
payload += b'\0' * (-size % 4)
b85 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~'
z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'
text = base64.b85encode(payload).decode().translate(str.maketrans(b85, z85))
vector = {'storageType': 'i', 'pathOrInlineDv': text, 'sizeInBytes': size, 'cardinality': 1}
stats = json.dumps({**json.loads(add['stats']), 'tightBounds': False})
remove = {'path': add['path'], 'deletionTimestamp': 1700000000000, 'dataChange': True}
with open(os.path.join(log, f'{number:020}.json'), 'w') as file:
    for action in ({'remove': remove}, {'add': {**add, 'stats': stats, 'deletionVector': vector}}):
        file.write(json.dumps(action) + '\n')
";

#[test]
fn rows_that_others_deleted_by_a_vector_stay_deleted() {
    let job = Job::new(&["one", "two", "three"]);
    job.make("create().alter.add_feature(TableFeatures.DeletionVectors, True)");
    run(&["check", "-c", &job.config]);
    run(&["run", "-c", &job.config]);
    job.make(DELETE_SECOND);
    let titles = "print(json.dumps(scanned()))";
    assert_eq!(job.python(titles), json!(["one", "three"]), "what was made here");
    fs::write(job.directory.path().join("more.jsonl"), "{\"id\": \"4\", \"title\": \"four\"}\n").unwrap();
    let both = format!("source.paths=[\"{0}/in.jsonl\", \"{0}/more.jsonl\"]", job.directory.path().display());
    run(&["run", "-c", &job.config, "--set", &both]);
    assert_eq!(job.python(titles), json!(["four", "one", "three"]));
    // To `verify` a row that someone deleted is one that is lost.
    let report = binary::run(&["verify", "-c", &job.config, "--set", &both, "--json"], PATIENCE).unwrap();
    assert_eq!(parse(&report.stdout)["sinks"][0]["total"]["rows"], 3, "{}", report.stdout);

    let done = parse(&run(&["compact", "-c", &job.config, "--json"]));
    assert_eq!((&done[0]["replaced"], &done[0]["added"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(job.python(titles), json!(["four", "one", "three"]));
    let vacuum = binary::run(&["compact", "-c", &job.config, "--vacuum", "48"], PATIENCE).unwrap();
    assert_eq!(vacuum.status.code(), Some(1));
    assert!(vacuum.stderr.contains("cannot be vacuumed"), "{}", vacuum.stderr);
}

#[test]
fn a_table_whose_store_is_away_does_not_keep_check() {
    let job = Job::new(&["Fine"]);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let storage = format!(
        "sinks.0.storage={{endpoint=\"http://127.0.0.1:{port}\", region=\"r\", access_key_id=\"k\", \
         secret_access_key=\"s\", allow_http=\"true\"}}"
    );
    let args =
        ["check", "-c", &job.config, "--set", "sinks.0.path=\"s3://lake/news\"", "--set", &storage, "--json"];
    let finished = binary::run(&args, SOON).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.stderr.contains("output_not_examined"), "{}", finished.stderr);
    let unknown = &parse(&finished.stdout)["unknown"];
    assert!(unknown[0].as_str().unwrap().contains("s3://lake/news"), "{unknown}");
}
