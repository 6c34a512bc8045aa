//! Models change while documents flow: no document is lost, none is labelled by two versions, and a
//! version that cannot serve does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::binary;
use fenliu_tests::files::copy_directory;
use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use fenliu_tests::readers::python;
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{ARTICLES, PATIENCE, articles, fails, json, rows, run, stop};

const PARTITIONS: usize = 4;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [model]
    bundle = "MODEL"
    watch = "50ms"
    [model.canary]
    rows = 200
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["id", "label", "model_version", "partition", "\"offset\""]
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [epoch]
    max_age = "200ms"
"#;

/// A model `news` with two versions that often disagree, copied from one that is trained once.
pub(crate) struct Model {
    directory: TempDir,
    pub(crate) versions: Vec<String>,
}

impl Model {
    pub(crate) fn new() -> Self {
        static TRAINED: OnceLock<TempDir> = OnceLock::new();
        let trained = TRAINED.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            for (rows, seed) in [(150, "1"), (600, "2")] {
                train(directory.path(), rows, seed, &[]);
            }
            directory
        });
        let directory = tempfile::tempdir().unwrap();
        copy_directory(&trained.path().join("news"), &directory.path().join("news")).unwrap();
        let model = Model { versions: versions(directory.path()), directory };
        model.promote(&model.versions[0]);
        model
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("news")
    }

    fn version(&self, version: &str) -> PathBuf {
        self.path().join("versions").join(version)
    }

    fn model(&self, args: &[&str]) -> String {
        run(&[&["model", "--models", self.directory.path().to_str().unwrap()], args].concat())
    }

    pub(crate) fn promote(&self, version: &str) {
        self.model(&["promote", &format!("news@{version}")]);
    }

    fn champion(&self) -> Value {
        json(&self.model(&["show", "news", "--json"]))["champion"].clone()
    }

    /// The label that `version` gives to each article, by the article's id: from files, without Kafka.
    fn labels(&self, version: &str) -> BTreeMap<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let documents = rows(directory.path(), "test", ARTICLES);
        let set = [
            format!("source={{type=\"files\", paths=[\"{}\"]}}", documents.display()),
            format!("model.bundle=\"{}\"", self.version(version).display()),
            "sinks=[{type=\"stdout\", columns=[\"id\", \"label\"]}]".to_string(),
            format!("dead_letters.path=\"{}\"", directory.path().join("dead").display()),
        ];
        let args = set.iter().flat_map(|set| ["--set", set.as_str()]);
        let stdout = run(&["run"].into_iter().chain(args).collect::<Vec<_>>());
        stdout.lines().map(|line| field_pair(&json(line), "id", "label")).collect()
    }
}

fn field_pair(row: &Value, key: &str, field: &str) -> (String, String) {
    (row[key].as_str().unwrap().to_string(), row[field].as_str().unwrap().to_string())
}

fn train(models: &Path, count: usize, seed: &str, more: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let data = rows(directory.path(), "train", count);
    let args = ["train", "--name", "news", "--preset", "tiny", "--epochs", "1", "--seed", seed];
    let small = ["--tokenization", "subword", "--option", "vocabulary.max_size=500", "--data"];
    let paths = [data.to_str().unwrap(), "--out", models.to_str().unwrap()];
    run(&[&args[..], &small[..], &paths[..], more].concat());
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Oldest first.
fn versions(models: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(models.join("news/versions")).unwrap();
    let mut versions: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    versions.sort();
    versions
}

/// A pipeline that runs over a topic, and what was sent to it.
struct Service {
    broker: &'static Broker,
    topic: String,
    running: binary::Running,
    sent: usize,
    _directory: TempDir,
}

impl Service {
    fn start(broker: &'static Broker, model: &Model, more: &[&str]) -> Self {
        let topic = unique_name("swap");
        for (suffix, partitions) in [("", PARTITIONS as i32), ("-labelled", 2), ("-dead", 1)] {
            broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fenliu.toml");
        let text = CONFIG.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
        std::fs::write(&file, text.replace("MODEL", model.path().to_str().unwrap())).unwrap();
        let args = [&["run", "-c", file.to_str().unwrap(), "--json"], more].concat();
        let running = binary::start(&args).unwrap();
        Service { broker, topic, running, sent: 0, _directory: directory }
    }

    /// Produces `count` documents: article after article, partition after partition.
    fn send(&mut self, count: usize) {
        static RECORDS: OnceLock<Vec<Value>> = OnceLock::new();
        let articles = RECORDS.get_or_init(|| articles(ARTICLES));
        let records: Vec<NewRecord> = (self.sent..self.sent + count)
            .map(|n| NewRecord {
                partition: Some((n % PARTITIONS) as i32),
                value: Some(articles[n % ARTICLES].to_string().into_bytes()),
                ..NewRecord::default()
            })
            .collect();
        self.broker.produce(&self.topic, &records).unwrap();
        self.sent += count;
    }

    fn committed(&self) -> usize {
        let group = format!("{}-group", self.topic);
        let offsets = self.broker.committed(&group, &self.topic).unwrap();
        offsets.values().flatten().sum::<i64>() as usize
    }

    fn wait_until_committed(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.committed() < count {
            assert!(Instant::now() < deadline, "only {} of {count} committed", self.committed());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends some documents more, stops the pipeline and checks that every document was labelled once, in
    /// its place, with the label that the version it names gives. Returns the rows and the summary.
    fn finish(mut self) -> (Vec<Value>, Value, String) {
        self.send(400);
        self.wait_until_committed(self.sent);
        let finished = stop(self.running);

        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        let parse = |record: &kafka::Record| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let mut rows: Vec<Value> = records.iter().map(parse).collect();
        let place = |row: &Value| (row["partition"].as_u64().unwrap(), row["offset"].as_u64().unwrap());
        rows.sort_by_key(place);
        let sent = self.sent / PARTITIONS;
        let expected = (0..PARTITIONS as u64).flat_map(|p| (0..sent as u64).map(move |offset| (p, offset)));
        assert!(rows.iter().map(place).eq(expected), "every document once: {} of {}", rows.len(), self.sent);
        (rows, json(&finished.stdout), finished.stderr)
    }
}

/// Rows whose label is another than the version that they name gives, and how often the version changes
/// along the partitions.
pub(crate) fn mixed(rows: &[Value], model: &Model) -> (usize, usize) {
    let expected: BTreeMap<&String, _> =
        model.versions.iter().map(|version| (version, model.labels(version))).collect();
    let wrong = rows.iter().filter(|row| {
        let ((id, label), version) = (field_pair(row, "id", "label"), row["model_version"].as_str().unwrap());
        expected[&version.to_string()][&id] != label
    });
    let changes = rows
        .windows(2)
        .filter(|w| w[0]["partition"] == w[1]["partition"] && w[0]["model_version"] != w[1]["model_version"]);
    (wrong.count(), changes.count())
}

#[test]
fn thirty_swaps_lose_no_document_and_mix_no_batch() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let [first, second] = &model.versions[..] else { unreachable!() };
    let (a, b) = (model.labels(first), model.labels(second));
    let differing = a.iter().filter(|(id, label)| b[*id] != **label).count();
    assert!(differing > ARTICLES / 20, "only {differing} labels tell the versions apart");

    let mut service = Service::start(broker, &model, &[]);
    let mut memory = vec![];
    for swap in 1..=30 {
        service.send(400);
        let next = if swap % 2 == 1 { second } else { first };
        model.promote(next);
        service.send(400);
        service.wait_until_committed(service.sent);
        service.running.wait_for_events("model_swapped", swap, PATIENCE).unwrap();
        memory.push(service.running.resident_bytes().unwrap() >> 20);
    }
    let (rows, summary, _) = service.finish();

    let (wrong, changes) = mixed(&rows, &model);
    assert_eq!(wrong, 0, "rows that another version labelled than they say");
    assert_eq!(summary["serving"]["swaps"], 30, "{summary}");
    assert!(changes <= 30 * PARTITIONS, "{changes}: a version came back within a batch");
    assert_eq!((&summary["serving"]["rollbacks"], &summary["dead_letters"]), (&value!(0), &value!({})));
    // Medians, since a single value depends on what is loaded at that moment: the model that comes, the one that goes.
    let (early, late) = (median(&memory[..10]), median(&memory[20..]));
    assert!(late < early + 40, "MiB after each swap: {memory:?}");
    println!(
        "{} documents, 30 swaps: 0 lost, 0 twice, 0 mixed; {differing} of {ARTICLES} articles tell the versions apart; resident MiB {memory:?}",
        rows.len()
    );
}

#[test]
fn a_version_that_cannot_be_used_changes_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let [first, second] = &model.versions[..] else { unreachable!() };
    // Promoted before it is damaged: what is damaged before is not promoted.
    model.promote(second);
    let alias = model.path().join("aliases/champion.json");
    let record = std::fs::read(&alias).unwrap();
    model.promote(first);
    let graph = model.version(second).join("onnx/fp32.onnx");
    let bytes = std::fs::read(&graph).unwrap();

    let mut service = Service::start(broker, &model, &[]);
    service.send(400);
    service.wait_until_committed(400);
    std::fs::write(&graph, &bytes[..bytes.len() / 2]).unwrap();
    // As the registry does it: no reader may see half a file.
    let staged = alias.with_extension("staged");
    std::fs::write(&staged, &record).unwrap();
    std::fs::rename(&staged, &alias).unwrap();
    service.running.wait_for_event("model_refused", PATIENCE).unwrap();
    service.send(400);

    // A model that was trained on texts cleaned otherwise.
    train(model.directory.path(), 150, "3", &["--set", "clean.steps=[\"strip_html\"]"]);
    model.promote(versions(model.directory.path()).last().unwrap());
    service.running.wait_for_text("differs from the cleaning", PATIENCE).unwrap();
    let (rows, summary, log) = service.finish();

    assert!(rows.iter().all(|row| row["model_version"] == value!(first)));
    assert_eq!(
        (&summary["serving"]["swaps"], &summary["serving"]["reload_failures"]),
        (&value!(0), &value!(2))
    );
    assert!(summary["serving"]["last_reload_failure"].as_str().unwrap().contains("cleaning"), "{summary}");
    assert!(log.contains("onnx/fp32.onnx"), "the file is named: {log}");
}

/// Writes a version that loads, and then fails on every document that has one of the first 200 tokens after
/// the unknown one: their embeddings are not numbers. Returns its ULID.
fn poisoned(model: &Model) -> String {
    let code = r"
import json, pathlib, struct, sys
directory = pathlib.Path(sys.argv[1])
weights = (directory / 'weights/model.safetensors').read_bytes()
length = struct.unpack('<Q', weights[:8])[0]
start, end = json.loads(weights[8:8 + length])['embedding']['data_offsets']
table = weights[8 + length + start:8 + length + end]
width = 4 * json.loads(weights[8:8 + length])['embedding']['shape'][1]
graph = (directory / 'onnx/fp32.onnx').read_bytes()
known = graph.index(table[2 * width:3 * width])
nan = struct.pack('<f', float('nan')) * (200 * width // 4)
(directory / 'onnx/fp32.onnx').write_bytes(graph[:known] + nan + graph[known + len(nan):])
print('null')
";
    let version = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    forge(model, version, |path| drop(python(code, &[path.to_str().unwrap()]).unwrap()));
    version.to_string()
}

/// Publishes a copy of the second version, changed by `change`, under another ULID.
fn forge(model: &Model, version: &str, change: impl Fn(&Path)) {
    let path = model.version(version);
    copy_directory(&model.version(&model.versions[1]), &path).unwrap();
    change(&path);
    let manifest = path.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace(&model.versions[1], version)).unwrap();
    let sums = r#"rm SHA256SUMS; find . -type f | sed 's|^\./||' | sort | xargs sha256sum > ../sums; mv ../sums SHA256SUMS"#;
    let status = Command::new("sh").args(["-c", sums]).current_dir(&path).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_promoted_version_that_fails_is_rolled_back_and_its_batch_labelled_again() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let bad = poisoned(&model);
    let first = &model.versions[0];
    let mut service = Service::start(broker, &model, &[]);
    service.send(400);
    service.wait_until_committed(400);
    model.promote(&bad);
    service.running.wait_for_event("model_swapped", PATIENCE).unwrap();
    service.send(400);
    service.running.wait_for_event("model_rolled_back", PATIENCE).unwrap();
    let (rows, summary, _) = service.finish();

    assert!(rows.iter().all(|row| row["model_version"] == value!(first)), "by the version that works");
    let serving = &summary["serving"];
    assert_eq!((&serving["swaps"], &serving["rollbacks"]), (&value!(1), &value!(1)), "{summary}");
    assert!(serving["last_rollback"].as_str().unwrap().contains("logit"), "{summary}");
    let champion = model.champion();
    assert_eq!((&champion["version"], &champion["by"]), (&value!(first), &value!("fenliu run")));
    assert!(champion["reason"].as_str().unwrap().contains("failed on"), "{champion}");
}

#[test]
fn a_restart_does_not_end_the_canary_period() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    model.promote(&poisoned(&model));
    let mut service = Service::start(broker, &model, &[]);
    service.send(400);
    service.running.wait_for_event("model_rolled_back", PATIENCE).unwrap();
    let (rows, summary, _) = service.finish();
    assert!(rows.iter().all(|row| row["model_version"] == value!(model.versions[0])));
    assert_eq!(summary["serving"]["rollbacks"], 1, "{summary}");
}

/// Writes a version that trusts labels from a score of `threshold` on: 0 always, 1 never.
fn trusting(model: &Model, version: &str, threshold: f64) -> String {
    let error = value!({ "ece": 0.0, "nll": 0.0 });
    let labels = std::fs::read(model.version(&model.versions[1]).join("labels.json")).unwrap();
    let labels: Vec<Value> = serde_json::from_slice(&labels).unwrap();
    let entry = |label: &Value| value!({ "label": label["id"], "threshold": threshold, "rows": 1 });
    let calibration = value!({
        "rows": 1, "temperature": 10.0, "target_precision": 0.9, "abstain_below": threshold, "before": error,
        "after": error, "coverage": [], "thresholds": labels.iter().map(entry).collect::<Vec<_>>(),
    });
    let write = |directory: &Path| {
        std::fs::write(directory.join("calibration.json"), calibration.to_string()).unwrap();
    };
    forge(model, version, write);
    version.to_string()
}

#[test]
fn a_promoted_version_that_trusts_itself_far_less_is_rolled_back() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let trusting_all = trusting(&model, "7XXXXXXXXXXXXXXXXXXXXXXXXX", 0.0);
    let doubtful = trusting(&model, "7YYYYYYYYYYYYYYYYYYYYYYYYY", 1.0);
    model.promote(&trusting_all);
    let mut service = Service::start(broker, &model, &["--set", "model.canary.rows=1000000"]);
    service.send(400);
    service.wait_until_committed(400);
    model.promote(&doubtful);
    service.running.wait_for_event("model_swapped", PATIENCE).unwrap();
    // The first batches are compared.
    (0..20).for_each(|_| service.send(800));
    service.running.wait_for_event("model_rolled_back", PATIENCE).unwrap();
    let (rows, summary, _) = service.finish();
    let reason = summary["serving"]["last_rollback"].as_str().unwrap();
    assert!(reason.contains("it abstains on 100.0 %"), "{reason}");
    assert_eq!(model.champion()["version"], value!(trusting_all));
    let abstaining = summary["versions"][&doubtful].as_u64().unwrap();
    assert_eq!(summary["abstained"], abstaining, "{summary}");
    assert!(rows.last().unwrap()["model_version"] == value!(trusting_all));
}

#[test]
fn the_same_version_fails_the_pipeline_where_nothing_can_take_over() {
    let model = Model::new();
    let bad = poisoned(&model);
    let directory = tempfile::tempdir().unwrap();
    let documents = rows(directory.path(), "test", 50);
    let set = [
        format!("source={{type=\"files\", paths=[\"{}\"]}}", documents.display()),
        format!("model.bundle=\"{}\"", model.version(&bad).display()),
        "sinks=[{type=\"stdout\"}]".to_string(),
        format!("dead_letters.path=\"{}\"", directory.path().join("dead").display()),
    ];
    let args: Vec<&str> =
        ["run"].into_iter().chain(set.iter().flat_map(|set| ["--set", set.as_str()])).collect();
    assert!(fails(&args, 1).contains("inference failed"));
}

#[test]
fn a_challenger_labels_a_sample_beside_the_champion() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let [first, second] = &model.versions[..] else { unreachable!() };
    model.model(&["promote", &format!("news@{second}"), "--challenger"]);
    let directory = tempfile::tempdir().unwrap();
    let shadow = directory.path().join("shadow");
    let path = format!("shadow.path=\"{}\"", shadow.display());
    let format = ["--set", "shadow.share=0.5", "--set", "shadow.format=\"jsonl\"", "--set", &path];
    let mut service = Service::start(broker, &model, &format);
    service.running.wait_for_event("shadow_began", PATIENCE).unwrap();
    for _ in 0..4 {
        service.send(400);
        service.wait_until_committed(service.sent);
    }
    let (rows, summary, _) = service.finish();
    assert!(rows.iter().all(|row| row["model_version"] == value!(first)), "the champion labels");

    let counts = &summary["shadow"];
    let (compared, dropped) = (counts["compared"].as_u64().unwrap(), counts["dropped"].as_u64().unwrap());
    let share = (compared + dropped) as f64 / rows.len() as f64;
    assert!(compared > 0 && (0.4..0.6).contains(&share), "{summary}");
    let disagreements = jsonl(&shadow);
    assert_eq!(counts["disagreeing"], disagreements.len(), "{summary}");
    let (champion, challenger) = (model.labels(first), model.labels(second));
    assert!(!disagreements.is_empty());
    for row in &disagreements {
        let (id, label) = field_pair(row, "id", "challenger_label");
        assert_eq!((&challenger[&id], &champion[&id]), (&label, &field_pair(row, "id", "champion_label").1));
        assert_ne!(row["champion_label"], row["challenger_label"]);
        assert_eq!((&row["champion_version"], &row["challenger_version"]), (&value!(first), &value!(second)));
        assert!((0.0..=1.0).contains(&row["champion_margin"].as_f64().unwrap()), "{row}");
    }
}

fn jsonl(directory: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().map(json).collect()
}
