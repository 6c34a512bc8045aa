//! A pipeline without a model: documents are cleaned and written, each once, and nothing says that they were labelled.

use fenliu_tests::kafka;
use serde_json::Value;

use crate::exactly_once::STEPS;
use crate::fixtures::{PATIENCE, json};
use crate::job::Job;

const SINKS: &str = r#"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["partition", "\"offset\""]
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    partition_by = ["source_label"]
"#;

/// As DuckDB reads the directories. The text must be there, and no column that only a model fills.
const READ: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"FROM read_parquet('{sys.argv[1]}/*/*.parquet', hive_partitioning = true)")
model = {"label", "score", "top_k", "abstained", "model_name", "model_version"}
assert not model & set(rows.columns) and {"body", "source_label"} <= set(rows.columns), rows.columns
print(json.dumps(duckdb.sql('SELECT partition, "offset" FROM rows WHERE length(body) > 0').fetchall()))
"#;

#[test]
fn without_a_model_every_document_is_written_once_through_deaths_and_without_labels() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let sinks = format!("[output]\nbody = true\n{SINKS}");
    let mut job = Job::new(broker, 2_000, &sinks).without_model();
    let done = job.die_at(&STEPS, 7);
    job.check(&done, &[("topic", job.labelled()), ("files", job.read_by(READ))]);

    let summary = job.start(Some("a"), "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
    let summary = json(&summary.stdout);
    let stages: Vec<&str> =
        summary["busy"].as_array().unwrap().iter().map(|busy| busy["stage"].as_str().unwrap()).collect();
    assert_eq!(stages[..3], ["source", "clean", "pass"], "{summary}");
    assert!(!stages.contains(&"model"), "{summary}");
    assert_eq!((&summary["model"], &summary["documents"]), (&Value::Null, &Value::from(0)), "{summary}");
}
