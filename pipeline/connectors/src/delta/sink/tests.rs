//! Tables whose logs are written by hand, as other engines write them.

use std::fs;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use fenliu_schemas::{
    Document, LabelledOptions, Offsets, Origin, Prediction, RawBuilder, label_rows, labelled_schema, raw,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::delta::compact::compact;
use crate::delta::features::{self, Use, names};
use crate::selection::Role;

const TOPIC: &str = "news";

/// Features of which a table may make use while rows are added.
const APPEND: [&str; 7] = [
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "deletionVectors",
    "generatedColumns",
    "invariants",
    "timestampNtz",
];

/// Those that are for readers, too, in Delta Lake's specification.
const FOR_READERS: [&str; 13] = [
    "catalogManaged",
    "catalogOwned-preview",
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantShredding-preview",
    "variantType",
    "variantType-preview",
    "a feature of tomorrow",
];

/// A table in a directory of its own.
struct Table {
    directory: TempDir,
}

fn field(name: &str, kind: &str, metadata: &Value) -> Value {
    json!({ "name": name, "type": kind, "nullable": true, "metadata": metadata })
}

fn fields() -> Vec<Value> {
    let of = |name, kind| field(name, kind, &json!({}));
    vec![of("id", "string"), of("topic", "string"), of("partition", "integer"), of("offset", "long")]
}

fn metadata(fields: &[Value], configuration: &Value) -> Value {
    let schema = json!({ "type": "struct", "fields": fields }).to_string();
    json!({ "metaData": {
        "id": "3f1c3c1e-6a6b-4b43-9f5e-1f2f3f4f5f6f", "format": { "provider": "parquet", "options": {} },
        "schemaString": schema, "partitionColumns": [], "createdTime": 0, "configuration": configuration,
    } })
}

fn lists(readers: &[&str], writers: &[&str]) -> Value {
    json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": readers, "writerFeatures": writers })
}

/// The protocol of a table with one feature: of readers and writers, or of writers only.
fn with_feature(name: &str) -> Value {
    match FOR_READERS.contains(&name) {
        true => lists(&[name], &[name]),
        false => json!({ "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": [name] }),
    }
}

impl Table {
    fn new(protocol: &Value, fields: &[Value], configuration: &Value) -> Self {
        let table = Table { directory: tempfile::tempdir().unwrap() };
        table.append(0, &[json!({ "protocol": protocol }), metadata(fields, configuration)]);
        table
    }

    fn of(protocol: &Value) -> Self {
        Table::new(protocol, &fields(), &json!({}))
    }

    /// Writes a version of the log.
    fn append(&self, version: u64, actions: &[Value]) {
        let log = self.directory.path().join("_delta_log");
        fs::create_dir_all(&log).unwrap();
        let lines: Vec<_> = actions.iter().map(Value::to_string).collect();
        fs::write(log.join(format!("{version:020}.json")), lines.join("\n")).unwrap();
    }

    fn config(&self) -> DeltaSinkConfig {
        DeltaSinkConfig {
            path: self.directory.path().display().to_string(),
            columns: ["id", "topic", "partition", "offset"].map(Into::into).into(),
            ..DeltaSinkConfig::default()
        }
    }

    fn selection(&self) -> Selection {
        let schema = labelled_schema(&raw::schema(), LabelledOptions::default());
        Selection::compile("sinks[0]", Role::Labelled, &schema, &self.config().columns, None).unwrap()
    }

    fn sink(&self) -> Result<DeltaSink> {
        DeltaSink::try_new(&self.config(), "p", Arc::new(self.selection()))
    }

    /// Why `check` and a start of the pipeline refuse the table, in the same words.
    fn refusal(&self) -> String {
        let checked = preflight(&self.config(), &self.selection()).expect_err("a refusal");
        let started = self.sink().err().expect("a refusal");
        assert_eq!(started.to_string(), checked.to_string());
        assert!(!started.is_retryable(), "{checked}");
        assert_eq!(self.data_files(), 0, "{checked}");
        checked.to_string()
    }

    fn data_files(&self) -> usize {
        let files = fs::read_dir(self.directory.path()).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet"))
            .count()
    }

    fn offsets(&self) -> Result<Vec<i64>> {
        let lake = Lake::existing(&self.config())?.unwrap();
        let mut offsets = vec![];
        lake.read(&lake.open()?.unwrap(), &["offset"], &mut |batch| {
            offsets.extend_from_slice(batch["offset"].as_primitive::<Int64Type>().values());
            Ok(())
        })?;
        offsets.sort_unstable();
        Ok(offsets)
    }
}

/// Rows `first..next`, without an id.
fn rows(first: i64, next: i64) -> Vec<Arc<Rows>> {
    let mut builder = RawBuilder::default();
    for offset in first..next {
        let origin = Origin { topic: TOPIC, partition: 0, offset, timestamp_ms: Some(1_700_000_000_123) };
        builder.append(origin, b"{}", &Ok(Document::default()));
    }
    let schema = labelled_schema(&raw::schema(), LabelledOptions::default());
    let predictions: Vec<_> = (first..next)
        .map(|_| Prediction { top: vec![("a", 0.5)], abstained: false, threshold: None, truncated: false })
        .collect();
    let labelled =
        label_rows(&builder.finish().unwrap(), &predictions, &schema, ("m", "1"), 1_700_000_000_456);
    vec![Arc::new(Rows { labelled: labelled.unwrap(), dead_letters: vec![] })]
}

fn commit(sink: &mut DeltaSink, first: i64, next: i64) -> Result<()> {
    let mut covered = Offsets::default();
    covered.add(&TOPIC.into(), 0, first, next - 1);
    let moves = Moves::plan(&sink.positions(&[(TOPIC.into(), 0)])?.positions, &covered).unwrap();
    sink.commit(&rows(first, next), &moves)
}

/// Commits to the table and reads it back.
fn assert_honoured(table: &Table, what: &str) {
    assert!(preflight(&table.config(), &table.selection()).unwrap().is_none(), "{what}");
    commit(&mut table.sink().unwrap(), 0, 3).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(table.offsets().unwrap(), [0, 1, 2], "{what}");
}

#[test]
fn each_feature_is_honoured_or_refused_by_its_name() {
    let mut known = 0;
    for name in names().chain(["a feature of tomorrow"]) {
        let table = Table::of(&with_feature(name));
        if APPEND.contains(&name) {
            assert_honoured(&table, name);
            known += 1;
        } else {
            let refusal = table.refusal();
            assert!(refusal.contains(&format!("`{name}`")), "{refusal}");
        }
    }
    assert_eq!(known, APPEND.len());
}

#[test]
fn all_obstacles_are_named_at_once() {
    let protocol = lists(&["v2Checkpoint"], &["v2Checkpoint", "rowTracking", "appendOnly", "domainMetadata"]);
    let configuration = json!({ "delta.constraints.short": "length(id) < 3" });
    let refusal = Table::new(&protocol, &fields(), &configuration).refusal();
    for name in ["`v2Checkpoint`", "`rowTracking`", "`domainMetadata`", "`short` (length(id) < 3)"] {
        assert!(refusal.contains(name), "{refusal}");
    }
    assert!(!refusal.contains("appendOnly"), "{refusal}");
}

#[test]
fn versions_of_before_the_lists_imply_features() {
    for writer in 1..=4 {
        let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": writer });
        assert_honoured(&Table::of(&protocol), &protocol.to_string());
    }
    for (reader, writer, name) in
        [(1, 5, "columnMapping"), (1, 6, "identityColumns"), (2, 4, "columnMapping"), (2, 5, "columnMapping")]
    {
        let refusal = Table::of(&json!({ "minReaderVersion": reader, "minWriterVersion": writer })).refusal();
        assert!(refusal.contains(&format!("`{name}`, implied by ")), "{refusal}");
    }
}

#[test]
fn a_malformed_protocol_stops_the_pipeline_and_is_not_tried_again() {
    let malformed = [
        json!({ "minReaderVersion": 1, "minWriterVersion": 7 }),
        json!({ "minReaderVersion": 3, "minWriterVersion": 7, "writerFeatures": [] }),
        json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [] }),
        json!({ "minReaderVersion": 3, "minWriterVersion": 2, "readerFeatures": [] }),
        json!({ "minReaderVersion": 1, "minWriterVersion": 2, "writerFeatures": ["appendOnly"] }),
        json!({ "minReaderVersion": 1, "minWriterVersion": 8 }),
        json!({ "minReaderVersion": 1, "minWriterVersion": 8, "writerFeatures": ["appendOnly"] }),
        json!({ "minReaderVersion": 4, "minWriterVersion": 7, "writerFeatures": [] }),
        json!({ "minReaderVersion": 0, "minWriterVersion": 2 }),
        json!({ "minReaderVersion": 1, "minWriterVersion": -1 }),
        json!({ "minReaderVersion": 1 }),
        json!({ "minWriterVersion": 2 }),
        json!({}),
        lists(&["deletionVectors"], &[]),
        lists(&[], &["deletionVectors"]),
        lists(&["appendOnly"], &["appendOnly"]),
    ];
    for protocol in malformed {
        let refusal = Table::of(&protocol).refusal();
        println!("{protocol}: {refusal}");
    }
}

/// As the kernel takes it from a checksum file, without a look at it.
#[test]
fn a_malformed_protocol_that_the_library_lets_pass_is_refused_too() {
    let obstacles = |protocol: Value| {
        features::obstacles(&serde_json::from_value(protocol).unwrap(), Use::Append).join("; ")
    };
    let without = obstacles(json!({ "minReaderVersion": 1, "minWriterVersion": 7 }));
    assert!(without.contains("`minWriterVersion` 7 without `writerFeatures`"), "{without}");
    let early = obstacles(
        json!({ "minReaderVersion": 2, "minWriterVersion": 7, "readerFeatures": [], "writerFeatures": [] }),
    );
    assert!(early.contains("`minReaderVersion` 2 with `readerFeatures`"), "{early}");
    let late = obstacles(json!({ "minReaderVersion": 1, "minWriterVersion": 9 }));
    assert!(late.contains("`minWriterVersion` 9, and versions up to 7 are known"), "{late}");
}

#[test]
fn a_log_without_protocol_or_columns_stops_the_pipeline() {
    let table = Table::of(&json!({ "minReaderVersion": 1, "minWriterVersion": 2 }));
    table.append(0, &[metadata(&fields(), &json!({}))]);
    assert!(table.refusal().contains("No protocol found"));
    table.append(0, &[json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } })]);
    assert!(table.refusal().contains("No table metadata found"));
    let table = Table::new(
        &json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
        &[field("id", "a type of tomorrow", &json!({}))],
        &json!({}),
    );
    println!("{}", table.refusal());
}

#[test]
fn what_a_column_asks_for_is_refused_whatever_the_protocol_says() {
    let demands = [
        ("x", json!({ "delta.invariants": "{\"expression\":{\"expression\":\"x > 3\"}}" }), "x > 3"),
        ("x", json!({ "delta.generationExpression": "length(id)" }), "generated column `x` (length(id))"),
        ("x", json!({ "delta.identity.start": 1, "delta.identity.step": 1 }), "identity column `x`"),
        ("x", json!({ "delta.identity.step": 1 }), "identity column `x`"),
        ("x", json!({ "CURRENT_DEFAULT": "'y'" }), "default `'y'`"),
        ("x", json!({ "delta.tomorrow": true }), "metadata `delta.tomorrow`"),
        ("id", json!({ "delta.generationExpression": "topic" }), "generated column `id`"),
        ("id", json!({ "__CHAR_VARCHAR_TYPE_STRING": "varchar(10)" }), "column `id` of type varchar(10)"),
    ];
    for (name, metadata, expected) in demands {
        let mut columns: Vec<_> = fields().into_iter().filter(|other| other["name"] != name).collect();
        columns.push(field(name, "string", &metadata));
        let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
        let refusal = Table::new(&protocol, &columns, &json!({})).refusal();
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[test]
fn what_a_field_within_a_column_asks_for_is_refused() {
    let inner = field("y", "string", &json!({ "delta.invariants": "y > 3" }));
    let of = json!({ "type": "array", "containsNull": true, "elementType": { "type": "struct", "fields": [inner] } });
    let mut columns = fields();
    columns.push(json!({ "name": "x", "type": of, "nullable": true, "metadata": {} }));
    let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    let refusal = Table::new(&protocol, &columns, &json!({})).refusal();
    assert!(refusal.contains("column `x.y` with the invariant"), "{refusal}");
}

#[test]
fn what_concerns_only_other_values_is_no_obstacle() {
    let mut columns = fields();
    columns[0]["metadata"] = json!({ "comment": "a name", "CURRENT_DEFAULT": "'x'" });
    columns.push(field(
        "x",
        "string",
        &json!({ "__CHAR_VARCHAR_TYPE_STRING": "char(3)", "comment": "stays null" }),
    ));
    let configuration = json!({
        "delta.appendOnly": "true", "delta.enableChangeDataFeed": "true", "delta.columnMapping.mode": "none",
        "delta.enableRowTracking": "false", "delta.enableExpiredLogCleanup": "true", "owner": "someone",
        "delta.logRetentionDuration": "interval 30 days",
    });
    let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 4 });
    assert_honoured(&Table::new(&protocol, &columns, &configuration), "harmless");
}

#[test]
fn properties_that_switch_on_what_is_not_honoured_are_refused_by_name() {
    for (name, value) in [
        ("delta.columnMapping.mode", "name"),
        ("delta.enableRowTracking", "true"),
        ("delta.enableInCommitTimestamps", "true"),
        ("delta.enableIcebergCompatV2", "TRUE"),
        ("delta.enableTomorrow", "true"),
        ("delta.coordinatedCommits.commitCoordinator-preview", "dynamodb"),
        ("delta.constraints.one", "id = 1"),
        ("delta.setTransactionRetentionDuration", "interval 1 day"),
    ] {
        let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
        let refusal = Table::new(&protocol, &fields(), &json!({ name: value })).refusal();
        let name = name.strip_prefix("delta.constraints.").unwrap_or(name);
        assert!(refusal.contains(&format!("`{name}`")), "{refusal}");
    }
}

#[test]
fn a_value_that_a_column_must_have_is_refused_where_rows_cannot_have_it() {
    let mut columns = fields();
    columns.push(json!({ "name": "x", "type": "string", "nullable": false, "metadata": {} }));
    let protocol = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    assert!(Table::new(&protocol, &columns, &json!({})).refusal().contains("`x` needs a value"));
    // Rows might have an id: these have none.
    let mut columns = fields();
    columns[0]["nullable"] = json!(false);
    let table = Table::new(&protocol, &columns, &json!({}));
    let error = commit(&mut table.sink().unwrap(), 0, 3).unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("id"), "{error}");
    assert_eq!(table.data_files(), 0);
}

#[test]
fn a_rule_that_comes_while_the_pipeline_runs_stops_it() {
    for next in [
        vec![json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 7 } })],
        vec![json!({ "protocol": with_feature("rowTracking") })],
        vec![metadata(&fields(), &json!({ "delta.constraints.none": "false" }))],
    ] {
        let table = Table::of(&json!({ "minReaderVersion": 1, "minWriterVersion": 2 }));
        let mut sink = table.sink().unwrap();
        commit(&mut sink, 0, 3).unwrap();
        table.append(2, &next);
        let error = commit(&mut sink, 3, 6).unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        println!("{error}");
        assert_eq!(table.data_files(), 1, "{next:?}");
    }
}

#[test]
fn verify_and_compact_go_by_what_they_need() {
    let uses = |name: &str| {
        let protocol: deltalake::kernel::Protocol = serde_json::from_value(with_feature(name)).unwrap();
        [Use::Read, Use::Compact, Use::Vacuum].map(|wanted| features::obstacles(&protocol, wanted).is_empty())
    };
    // A reader need not know what is for writers only.
    assert_eq!(uses("rowTracking"), [true, false, false]);
    assert_eq!(uses("appendOnly"), [true, true, true]);
    assert_eq!(uses("columnMapping"), [true, false, false]);
    assert_eq!(uses("deletionVectors"), [true, true, false]);
    assert_eq!(uses("v2Checkpoint"), [false, false, false]);
    assert_eq!(uses("a feature of tomorrow"), [false, false, false]);

    let table = Table::of(&with_feature("rowTracking"));
    assert_eq!(table.offsets().unwrap(), [0_i64; 0]);
    let refusal = compact(&table.config(), bytesize::ByteSize::mib(1), None).unwrap_err().to_string();
    assert!(refusal.contains("cannot be compacted") && refusal.contains("`rowTracking`"), "{refusal}");
    let refusal = Table::of(&with_feature("v2Checkpoint")).offsets().unwrap_err().to_string();
    assert!(refusal.contains("cannot be read") && refusal.contains("`v2Checkpoint`"), "{refusal}");
}

#[test]
fn a_table_that_is_not_there_is_not_made_by_a_check() {
    let table = Table { directory: tempfile::tempdir().unwrap() };
    let mut config = table.config();
    config.path.push_str("/none");
    assert!(preflight(&config, &table.selection()).unwrap().is_none());
    assert!(!fs::exists(&config.path).unwrap());
}

#[test]
fn a_store_that_does_not_answer_is_told_and_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let storage = [
        ("endpoint", endpoint.as_str()),
        ("region", "r"),
        ("access_key_id", "k"),
        ("secret_access_key", "s"),
        ("allow_http", "true"),
    ];
    let config = DeltaSinkConfig {
        path: "s3://bucket/table".into(),
        storage: storage.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..DeltaSinkConfig::default()
    };
    let started = std::time::Instant::now();
    let table = Table { directory: tempfile::tempdir().unwrap() };
    let error = preflight(&config, &table.selection()).unwrap().expect("no answer");
    assert!(error.to_string().contains("s3://bucket/table"), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}
