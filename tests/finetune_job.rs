//! Fine-tuning jobs on real articles: a label that the model did not know is learnt from corrections, a job that
//! is killed at any stage is taken up again, and a challenger that learnt nonsense is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::files::copy_directory;
use fenliu_tests::kafka::{self, NewRecord, unique_name};
use fenliu_tests::readers::python;
use fenliu_tests::{binary, data};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, json, run, stop};

/// The label that the first champion does not know.
const NEW: &str = "crude";

/// Rows of a split of Reuters R8, at most `most` of a label.
fn corpus(split: &str, most: usize) -> Vec<Value> {
    let text = fs::read_to_string(data::reuters().unwrap().join(format!("{split}.jsonl"))).unwrap();
    let mut count = BTreeMap::<String, usize>::new();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_taken = |row: &Value| {
        let rows = count.entry(row["label"].as_str().unwrap().to_string()).or_default();
        *rows += 1;
        *rows <= most
    };
    rows.filter(is_taken).collect()
}

fn write(path: &Path, rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_string()
}

/// A champion that was trained without [`NEW`], and what a job needs, in a directory of its own.
struct Bench {
    directory: TempDir,
}

fn bench() -> Bench {
    static FIRST: OnceLock<TempDir> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (new, old): (Vec<Value>, Vec<Value>) =
            corpus("train", 150).into_iter().partition(|row| row["label"] == NEW);
        let data = write(&path("old.jsonl"), &old);
        write(&path("new.jsonl"), &new);
        write(&path("test.jsonl"), &corpus("test", 60));
        let models = path("models");
        let args = ["train", "--preset", "tiny", "--epochs", "3", "--name", "r8", "--data", &data, "--out"];
        run(&[&args[..], &[models.to_str().unwrap()]].concat());
        directory
    });
    let directory = tempfile::tempdir().unwrap();
    copy_directory(first.path(), directory.path()).unwrap();
    Bench { directory }
}

impl Bench {
    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_string()
    }

    fn model(&self) -> PathBuf {
        self.directory.path().join("models/r8")
    }

    /// `fenliu finetune` with `more` flags, at full priority; gates that a busy machine or so few rows would fail
    /// are wide open.
    fn args(&self, data: &str, more: &[&str]) -> Vec<String> {
        let (model, data, test) = (self.path("models/r8"), self.path(data), self.path("test.jsonl"));
        let args =
            ["finetune", "--json", "--model", &model, "--data", &data, "--test", &test, "--epochs", "2"];
        let open = ["speed_share=0.01", "class_rows=1", "slice_loss=0.3", "ece=0.3"]
            .map(|gate| format!("finetune.gates.{gate}"));
        let gates = open.iter().flat_map(|gate| ["--set", gate]);
        args.into_iter()
            .chain(["--set", "finetune.niceness=0"])
            .chain(gates)
            .chain(more.iter().copied())
            .map(ToString::to_string)
            .collect()
    }

    fn finetune(&self, data: &str, more: &[&str]) -> Value {
        let args = self.args(data, more);
        json(&run(&args.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// `fenliu model` with `--json`.
    fn registry(&self, args: &[&str]) -> Value {
        let models = self.path("models");
        json(&run(&[&["model", "--models", &models], args, &["--json"]].concat()))
    }

    fn champion(&self) -> String {
        self.registry(&["show", "r8"])["version"].as_str().unwrap().to_string()
    }

    fn versions(&self) -> Vec<String> {
        let entries = fs::read_dir(self.model().join("versions")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Corrections of [`NEW`] by id, and wrong ones that later ones overrule.
    fn corrections(&self) -> String {
        let rows: Vec<Value> = fs::read_to_string(self.path("new.jsonl"))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let said = |row: &Value, label: &str, at: &str| value!({ "id": row["id"], "label": label, "by": "desk", "at": at });
        let mut feedback: Vec<Value> =
            rows[..10].iter().map(|row| said(row, "grain", "2026-01-01T00:00:00Z")).collect();
        feedback.extend(rows.iter().map(|row| said(row, NEW, "2026-01-02T00:00:00Z")));
        feedback.push(value!({ "id": "nowhere", "label": NEW }));
        feedback.push(value!({ "label": NEW }));
        write(&self.directory.path().join("feedback.jsonl"), &feedback)
    }
}

/// The state of the newest job.
fn state(model: &Path) -> Option<Value> {
    let mut jobs: Vec<PathBuf> =
        fs::read_dir(model.join("jobs")).ok()?.map(|entry| entry.unwrap().path()).collect();
    jobs.sort();
    let text = fs::read_to_string(jobs.last()?.join("state.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn a_label_that_the_model_did_not_know_is_learnt_from_corrections() {
    let bench = bench();
    let first = bench.champion();
    let (feedback, texts) = (bench.corrections(), bench.path("new.jsonl"));
    let report =
        bench.finetune("old.jsonl", &["--feedback", &feedback, "--texts", &texts, "--require-promotion"]);
    assert_eq!((&report["verdict"], &report["base"]), (&value!("promoted"), &value!(first)), "{report}");
    // Reuters sent five of these stories twice.
    let skipped = value!({ "missing_document": 1, "missing_text": 1, "superseded": 10, "repeated": 5 });
    assert_eq!(report["snapshot"]["skipped"], skipped);
    assert_eq!((&report["snapshot"]["seen"], &report["snapshot"]["feedback"]), (&value!(162), &value!(145)));
    let macro_f1 = |who: &str| report[who]["macro_f1"].as_f64().unwrap();
    assert!(macro_f1("challenger") > macro_f1("champion") + 0.02, "{report}");

    let version = report["version"].as_str().unwrap();
    let shown = bench.registry(&["show", "r8"]);
    assert_eq!((&shown["version"], &shown["champion"]["previous"]), (&value!(version), &value!(first)));
    let bundle = bench.model().join("versions").join(version);
    for file in
        ["calibration.json", "reference/drift.json", "eval/report.json", "eval/report.html", "card.md"]
    {
        assert!(bundle.join(file).is_file(), "{file}");
    }
    let labels = fs::read_to_string(bundle.join("labels.json")).unwrap();
    assert!(labels.contains(NEW));
    let page = fs::read_to_string(bundle.join("eval/report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("<script"));
    let listed =
        fs::read_to_string(Path::new(report["directory"].as_str().unwrap()).join("skipped.jsonl")).unwrap();
    assert_eq!(listed.lines().count(), 17, "the losers are kept");
    println!("macro-F1 {:.4} before, {:.4} after", macro_f1("champion"), macro_f1("challenger"));

    let again = bench.finetune("old.jsonl", &["--feedback", &feedback, "--texts", &texts, "--only-if-new"]);
    assert_eq!(again["verdict"], "unchanged", "{again}");
}

#[test]
fn killed_at_every_stage_one_job_is_taken_up_again_and_again() {
    const STAGES: [&str; 9] =
        ["snapshot", "split", "check", "train", "calibrate", "evaluate", "publish", "promote", "done"];
    let position = |stage: &Value| STAGES.iter().position(|name| stage == name).unwrap();
    let bench = bench();
    let first = bench.champion();
    let (feedback, texts) = (bench.corrections(), bench.path("new.jsonl"));
    let flags = ["--feedback", &feedback, "--texts", &texts];
    let mut killed = vec![];
    for wanted in 0..STAGES.len() - 1 {
        let running = binary::start(&bench.args("old.jsonl", &flags)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while state(&bench.model()).is_none_or(|state| position(&state["stage"]) < wanted) {
            assert!(Instant::now() < deadline, "{:?}", state(&bench.model()));
            thread::sleep(Duration::from_millis(1));
        }
        // It may just have ended.
        let _ = running.signal("KILL");
        drop(running);
        let at = state(&bench.model()).unwrap();
        killed.push(at["stage"].as_str().unwrap().to_string());
        bench.registry(&["verify", "r8"]);
        let champion = bench.champion();
        assert!(champion == first || at["stage"] == "promote" || at["stage"] == "done", "{at}");
        assert!(bench.versions().len() <= 2, "published once: {at}");
        if at["stage"] == "done" {
            break;
        }
    }
    println!("killed at {killed:?}");
    assert!(killed.len() >= 7, "most stages were hit: {killed:?}");
    if killed.last().is_some_and(|stage| stage != "done") {
        let report = bench.finetune("old.jsonl", &flags);
        assert_eq!(report["resumes"], value!(killed.len()), "{report}");
    }
    let end = state(&bench.model()).unwrap();
    assert_eq!(fs::read_dir(bench.model().join("jobs")).unwrap().count(), 1, "it was one job");
    assert_eq!((&end["verdict"], &end["version"]), (&value!("promoted"), &value!(bench.champion())), "{end}");
    let entries = fs::read_dir(bench.model().join("versions")).unwrap().count();
    assert_eq!(
        (entries, bench.versions().len()),
        (2, 2),
        "staging directories of dead processes are removed"
    );
}

/// Nothing in what it is tested on would tell.
#[test]
fn a_challenger_that_would_forget_a_label_is_refused() {
    let bench = bench();
    let first = bench.champion();
    for name in ["old.jsonl", "test.jsonl"] {
        let text = fs::read_to_string(bench.path(name)).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let few: Vec<Value> = rows.filter(|row| row["label"] == "earn" || row["label"] == "acq").collect();
        write(Path::new(&bench.path(name)), &few);
    }
    let report = bench.finetune("old.jsonl", &["--set", "finetune.gates.macro_f1_loss=1"]);
    assert_eq!(report["verdict"], "refused", "{report}");
    let failed = report["gates"].as_array().unwrap().iter().filter(|gate| gate["passed"] == false);
    let failed: Vec<_> =
        failed.map(|gate| (gate["name"].as_str().unwrap(), gate["value"].as_f64())).collect();
    assert_eq!(failed, [("class_rows", Some(0.0))], "{report}");
    assert_eq!(bench.champion(), first);
}

#[test]
fn a_challenger_that_learnt_nonsense_is_refused() {
    let bench = bench();
    let first = bench.champion();
    let mut rows: Vec<Value> = fs::read_to_string(bench.path("old.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let labels: Vec<Value> = rows.iter().map(|row| row["label"].clone()).collect();
    for (shift, seed) in [(7, "1"), (101, "2"), (503, "3")] {
        for (row, label) in rows.iter_mut().zip(labels.iter().cycle().skip(shift)) {
            row["label"] = label.clone();
        }
        write(&bench.directory.path().join("nonsense.jsonl"), &rows);
        let option = format!("seed={seed}");
        let report = bench.finetune("nonsense.jsonl", &["--option", &option]);
        assert_eq!((&report["verdict"], &report["version"]), (&value!("refused"), &Value::Null), "{report}");
        let failed = report["gates"].as_array().unwrap().iter().filter(|gate| gate["passed"] == false);
        assert!(failed.count() > 0, "{report}");
        assert_eq!(bench.champion(), first);
        assert_eq!(bench.versions().len(), 1);
        let directory = Path::new(report["directory"].as_str().unwrap());
        assert!(directory.join("report.html").is_file());
    }
    let args = bench.args("nonsense.jsonl", &["--require-promotion"]);
    let finished = binary::run(&args, PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);

    let kept = bench.finetune("nonsense.jsonl", &["--keep-refused"]);
    assert_eq!(kept["verdict"], "refused");
    let shown = bench.registry(&["show", "r8"]);
    assert_eq!((&shown["version"], &shown["challenger"]["version"]), (&value!(first), &kept["version"]));
}

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [model]
    bundle = "DIR/models/r8"
    watch = "100ms"
    [output]
    body = true
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
    [epoch]
    max_age = "300ms"
    [finetune]
    data = ["DIR/old.jsonl"]
    test = ["DIR/test.jsonl"]
    epochs = 2
    min_new_labels = 100
    [finetune.feedback]
    topic = "TOPIC-feedback"
    texts = ["DIR/labelled"]
    [finetune.gates]
    speed_share = 0.01
    class_rows = 1
    slice_loss = 0.3
    ece = 0.3
"#;

/// The version that labelled each document, and how often each position occurs.
fn labelled(directory: &Path) -> (BTreeMap<String, usize>, BTreeMap<(i64, i64), usize>) {
    let code = r#"
import json, sys, duckdb
rows = duckdb.sql(f"SELECT partition, \"offset\", model_version FROM '{sys.argv[1]}/*.parquet'").fetchall()
print(json.dumps(rows))
"#;
    let rows = python(code, &[directory.to_str().unwrap()]).unwrap();
    let (mut versions, mut positions) = (BTreeMap::new(), BTreeMap::new());
    for row in rows.as_array().unwrap() {
        *versions.entry(row[2].as_str().unwrap().to_string()).or_default() += 1;
        *positions.entry((row[0].as_i64().unwrap(), row[1].as_i64().unwrap())).or_default() += 1;
    }
    (versions, positions)
}

#[test]
fn corrections_of_what_flows_by_make_a_better_model_without_a_restart() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bench = bench();
    let first = bench.champion();
    let topic = unique_name("desk");
    for (suffix, partitions) in [("", 3), ("-feedback", 2)] {
        broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
    }
    let config = CONFIG.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
    let config = config.replace("DIR", bench.directory.path().to_str().unwrap());
    let file = bench.path("fenliu.toml");
    fs::write(&file, config).unwrap();
    let mut running = binary::start(&["run", "-c", &file, "--json"]).unwrap();

    // The desk sees the articles of the new kind labelled, and corrects them by their ids.
    let lines = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let send = |topic: &str, lines: &mut dyn Iterator<Item = &str>| {
        let record = |line: &str| NewRecord { value: Some(line.as_bytes().to_vec()), ..NewRecord::default() };
        let records: Vec<NewRecord> = lines.map(record).collect();
        broker.produce(topic, &records).unwrap();
        records.len()
    };
    let mut sent = send(&topic, &mut lines("new.jsonl").lines());
    let deadline = Instant::now() + PATIENCE;
    while fs::read_dir(bench.path("labelled")).map_or(0, Iterator::count) == 0 {
        assert!(Instant::now() < deadline, "nothing is labelled");
        thread::sleep(Duration::from_millis(100));
    }
    bench.corrections();
    send(&format!("{topic}-feedback"), &mut lines("feedback.jsonl").lines());

    // News goes on while the job runs.
    let test = lines("test.jsonl");
    let mut news = test.lines().cycle();
    while bench.champion() == first {
        assert!(Instant::now() < deadline + PATIENCE * 2, "no promotion: {:?}", state(&bench.model()));
        sent += send(&topic, &mut news.by_ref().take(20));
        thread::sleep(Duration::from_millis(200));
    }
    running.wait_for_text("event=\"fine_tuning_ended\" verdict=\"promoted\"", PATIENCE).unwrap();
    thread::sleep(Duration::from_secs(2));
    sent += send(&topic, &mut news.by_ref().take(200));
    let group = format!("{topic}-group");
    let committed = || broker.committed(&group, &topic).unwrap().values().flatten().sum::<i64>();
    while committed() < sent as i64 {
        assert!(Instant::now() < deadline + PATIENCE * 3, "{} of {sent} committed", committed());
        thread::sleep(Duration::from_millis(100));
    }
    stop(running);

    let second = bench.champion();
    let (versions, positions) = labelled(&bench.directory.path().join("labelled"));
    assert_eq!(positions.len(), sent, "no document is lost");
    assert!(versions[&first] > 0 && versions[&second] > 0, "{versions:?}");
    let state = state(&bench.model()).unwrap();
    let ends = state["snapshot"]["ends"].as_object().unwrap();
    let next: i64 = ends.values().map(|range| range[1].as_i64().unwrap()).sum();
    assert_eq!((next, &state["snapshot"]["feedback"]), (162, &value!(145)), "{state}");
    println!("{sent} documents, labelled by {versions:?}: {}", state["reason"]);
}
