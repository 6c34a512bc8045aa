//! The registry as a user and a crash see it: `fenliu model`, damaged versions, processes killed in the
//! middle of a change, and many at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use fenliu_tests::files::copy_directory;
use fenliu_tests::{binary, scripts};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, fails, json, rows, run};

/// A directory of models with `news` in three versions, small ones so that changes are quick.
struct Models {
    directory: TempDir,
    versions: Vec<String>,
}

fn models() -> Models {
    static TRAINED: OnceLock<TempDir> = OnceLock::new();
    let trained = TRAINED.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let data = rows(directory.path(), "train", 300);
        for seed in ["1", "2", "3"] {
            let args = ["train", "--name", "news", "--preset", "tiny", "--epochs", "1", "--seed", seed];
            let small = ["--tokenization", "subword", "--option", "ngrams.enabled=false", "--option"];
            // Without linear experts the graph is the whole model.
            let paths = [
                "vocabulary.max_size=500",
                "--option",
                "linear=false",
                "--data",
                data.to_str().unwrap(),
                "--out",
            ];
            run(&[&args[..], &small[..], &paths[..], &[directory.path().to_str().unwrap()]].concat());
        }
        directory
    });
    let directory = tempfile::tempdir().unwrap();
    copy_directory(&trained.path().join("news"), &directory.path().join("news")).unwrap();
    let mut versions = names(&directory.path().join("news/versions"));
    versions.sort();
    assert_eq!(versions.len(), 3);
    Models { directory, versions }
}

fn names(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(directory).unwrap().map(name).collect()
}

impl Models {
    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    fn file(&self, version: usize, name: &str) -> PathBuf {
        self.directory.path().join("news/versions").join(&self.versions[version]).join(name)
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["model", "--models", self.path()], args].concat()
    }

    fn run(&self, args: &[&str]) -> String {
        run(&self.args(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        json(&self.run(&[args, &["--json"]].concat()))
    }

    fn fails(&self, args: &[&str], code: i32) -> String {
        fails(&self.args(args), code)
    }

    fn champion(&self) -> Value {
        self.json(&["show", "news"])["champion"].clone()
    }

    /// `news@<selector>` as a path.
    fn named(&self, selector: &str) -> String {
        format!("{}/news@{selector}", self.path())
    }
}

#[test]
fn versions_are_listed_promoted_rolled_back_and_removed() {
    let models = models();
    let [first, second, third] = &models.versions[..] else { unreachable!() };
    let list = models.json(&["list"]);
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!((&list[2]["version"], &list[2]["in_use"]), (&Value::from(third.as_str()), &Value::from(true)));
    assert!(list[0]["manifest"]["training"]["dev_accuracy"].is_number(), "{list}");
    let table = models.run(&["list", "news"]);
    assert!(table.contains("MACRO-F1") && table.contains(&format!("{third}  (newest)")), "{table}");

    models.run(&["promote", &format!("news@{first}"), "--reason", "the first"]);
    models.run(&["promote", &format!("news@{}", second.to_lowercase())]);
    let champion = models.champion();
    assert_eq!((&champion["version"], &champion["previous"]), (&value!(second), &value!(first)));
    for (selector, version) in [("champion", second), ("previous", first)] {
        assert_eq!(models.json(&["show", &format!("news@{selector}")])["version"], value!(version));
        run(&["predict", "--model", &models.named(selector), "shares rose"]);
    }
    models.run(&["promote", &format!("news@{third}"), "--challenger"]);
    assert_eq!(models.json(&["show", "news"])["challenger"]["version"], value!(third));
    models.run(&["promote", "news"]);
    let shown = models.json(&["show", "news"]);
    assert_eq!((&shown["version"], &shown["challenger"]), (&value!(third), &Value::Null));
    models.run(&["rollback", "news"]);
    models.run(&["promote", &format!("news@{first}")]);
    models.run(&["promote", &format!("news@{second}")]);
    let stderr = models.fails(&["remove", "news@previous"], 1);
    assert!(stderr.contains("is the previous and cannot be removed"), "{stderr}");

    models.run(&["rollback", "news", "--reason", "worse"]);
    assert_eq!(models.champion()["version"], value!(first));
    assert!(models.fails(&["rollback", "news"], 1).contains("there is no previous champion"));
    assert!(models.run(&["show", "news"]).contains(": worse"));
    models.run(&["remove", &format!("news@{second}")]);
    assert_eq!(models.json(&["prune", "news", "--keep", "0"])["removed"], value!([third]));
    assert_eq!(names(&models.directory.path().join("news/versions")), [first.as_str()]);
}

#[test]
fn wrong_names_are_explained() {
    let models = models();
    for (args, code, message) in [
        (["show", "nosuch"], 1, "nosuch: it does not exist"),
        (["show", "news@champoin"], 1, "no version is or starts with `CHAMPOIN`"),
        (["show", "news@0"], 1, "3 versions start with `0`"),
        (["promote", "news"], 1, "there is no challenger"),
        (["rollback", "news@champion"], 2, "takes no version"),
        (["remove", "news"], 2, "as NAME@VERSION"),
    ] {
        let stderr = models.fails(&args, code);
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

#[test]
fn damaged_versions_are_refused_by_file_name_everywhere() {
    type Damage = fn(&Models);
    let cases: [(Damage, &str); 5] = [
        (|m| cut_half(&m.file(1, "onnx/fp32.onnx")), "onnx/fp32.onnx"),
        (|m| cut_half(&m.file(1, "manifest.json")), "manifest.json"),
        (|m| flip_byte(&m.file(1, "weights/model.safetensors")), "weights/model.safetensors"),
        (|m| fs::remove_file(m.file(1, "labels.json")).unwrap(), "labels.json"),
        (|m| fs::remove_file(m.file(1, "SHA256SUMS")).unwrap(), "SHA256SUMS"),
    ];
    for (damage, file) in cases {
        let models = models();
        models.run(&["promote", &format!("news@{}", models.versions[0])]);
        damage(&models);
        let name = format!("news@{}", models.versions[1]);
        assert!(models.fails(&["promote", &name], 1).contains(file), "{file}");
        assert!(fails(&["predict", "--model", &models.named(&models.versions[1]), "x"], 1).contains(file));
        let verified = binary::run(&models.args(&["verify", "news", "--json"]), PATIENCE).unwrap();
        assert_eq!(verified.status.code(), Some(1));
        let verified = json(&verified.stdout);
        let ok: Vec<&Value> = verified.as_array().unwrap().iter().map(|version| &version["ok"]).collect();
        assert_eq!(ok, [true, false, true], "{verified}");
        assert!(verified[1]["problem"].as_str().unwrap().contains(file), "{verified}");
        // The others go on, and the damaged one can go.
        models.run(&["list"]);
        run(&["predict", "--model", &models.named("champion"), "x"]);
        models.run(&["remove", &name]);
        models.run(&["verify", "news"]);
    }
}

fn cut_half(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_killed_change_leaves_the_old_champion_or_the_new_one() {
    const TURNS: usize = 40;
    let models = models();
    let temporary = models.directory.path().join("news/aliases/.champion.json.tmp");
    models.run(&["promote", &format!("news@{}", models.versions[0])]);
    let start = Instant::now();
    models.run(&["promote", &format!("news@{}", models.versions[1])]);
    let whole = start.elapsed();
    let (mut killed, mut moved) = (0, 0);
    for turn in 0..TURNS {
        let before = alias(&models);
        // What the last kill may have left would end this turn before it began.
        let _ = fs::remove_file(&temporary);
        let name = format!("news@{}", models.versions[turn % 3]);
        let promote: &[&str] = &["promote", &name];
        let is_rollback = turn % 4 == 3 && before["previous"].is_string();
        let args = if is_rollback { &["rollback", "news"] } else { promote };
        let mut change = binary::start(&models.args(args)).unwrap();
        if turn % 2 == 0 {
            thread::sleep(whole.mul_f64(turn as f64 / TURNS as f64));
        } else {
            // In the middle of writing: between the alias and the history, if this is quick enough.
            while !change.has_ended().unwrap() && !temporary.exists() && alias(&models) == before {}
        }
        // It may have ended by itself.
        let _ = change.signal("KILL");
        killed += usize::from(change.wait(PATIENCE).unwrap().status.code().is_none());
        let after = alias(&models);
        let target = if is_rollback { &before["previous"] } else { &value!(models.versions[turn % 3]) };
        assert!(after == before || after["version"] == *target, "turn {turn}: {before} {after}");
        moved += usize::from(after != before);
    }
    println!("{killed} of {TURNS} changes were killed, {moved} took place");
    assert!(killed > 0 && moved > 0, "{killed} killed, {moved} moved: nothing was shown");
    // What was interrupted is mended by what follows, and nothing was lost on the way.
    models.run(&["promote", &format!("news@{}", models.versions[0])]);
    models.run(&["promote", &format!("news@{}", models.versions[1])]);
    models.run(&["verify", "news"]);
    let history = models.json(&["show", "news"])["history"].clone();
    assert_eq!(history["problems"], value!([]));
    chained(&history);
}

fn alias(models: &Models) -> Value {
    let bytes = fs::read(models.directory.path().join("news/aliases/champion.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Checks that each champion says of its predecessor what the history says, and returns how many there
/// are.
fn chained(history: &Value) -> usize {
    let entries = history["entries"].as_array().unwrap();
    let champions: Vec<&Value> = entries.iter().filter(|entry| entry["alias"] == "champion").collect();
    for pair in champions.windows(2) {
        let is_rollback = pair[1]["previous"].is_null() && pair[1]["version"] == pair[0]["previous"];
        assert!(is_rollback || pair[1]["previous"] == pair[0]["version"], "{pair:?}");
    }
    champions.len()
}

#[test]
fn changes_at_once_are_made_one_after_the_other() {
    let models = models();
    models.run(&["promote", &format!("news@{}", models.versions[0])]);
    let names: Vec<String> = models.versions.iter().map(|version| format!("news@{version}")).collect();
    let changes: Vec<_> = (0..12)
        .map(|turn| binary::start(&models.args(&["promote", &names[turn % 3], "--reason", "race"])).unwrap())
        .collect();
    for change in changes {
        let finished = change.wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }
    let history = models.json(&["show", "news"])["history"].clone();
    assert_eq!(history["problems"], value!([]));
    assert!(chained(&history) > 1);
    models.run(&["verify", "news"]);
}

#[test]
fn an_imported_graph_serves_and_a_killed_import_leaves_nothing() {
    let models = models();
    let graph = models.file(0, "onnx/fp32.onnx");
    let tokenizer = models.file(0, "tokenizer.json");
    let labels = models.json(&["show", "news"])["labels"].clone();
    let labels: Vec<&str> = labels.as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
    let labels = labels.join(",");
    let args = ["import", graph.to_str().unwrap(), "--name", "graph", "--tokenizer"];
    let rest = [tokenizer.to_str().unwrap(), "--labels", &labels, "--max-tokens", "256"];
    let args = [&args[..], &rest[..]].concat();
    let start = Instant::now();
    let imported = models.json(&args);
    let whole = start.elapsed();
    assert_eq!(imported["manifest"]["trainable"], false);
    let first = format!("news@{}", models.versions[0]);
    let predict =
        |model: &str| json(&run(&["predict", "--model", &format!("{}/{model}", models.path()), "oil"]));
    // The order of the labels: the graph comes without the calibration of the model that it was taken from.
    assert_eq!(ranked(&predict("graph")), ranked(&predict(&first)));

    for turn in 0..10 {
        let import = binary::start(&models.args(&args)).unwrap();
        thread::sleep(whole.mul_f64(f64::from(turn) / 10.0));
        drop(import);
    }
    models.run(&args);
    let versions = names(&models.directory.path().join("graph/versions"));
    assert!(versions.iter().all(|version| !version.starts_with('.')), "{versions:?}");
    assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len());
    models.run(&["verify", "graph"]);
}

/// The labels of a prediction, most probable first.
fn ranked(prediction: &Value) -> Vec<&str> {
    prediction["top"].as_array().unwrap().iter().map(|label| label["label"].as_str().unwrap()).collect()
}

#[test]
fn a_checkpoint_without_a_head_waits_for_fine_tuning() {
    let models = models();
    let checkpoint = scripts::repository().join("model/tests/references/bert_encoder");
    models.run(&["import", checkpoint.to_str().unwrap(), "--name", "encoder"]);
    assert!(models.run(&["list", "encoder"]).contains("head not trained"));
    let predict = fails(&["predict", "--model", &format!("{}/encoder", models.path()), "x"], 1);
    for stderr in [predict, models.fails(&["promote", "encoder@0"], 1)] {
        assert!(stderr.contains("no trained classification head: fine-tune it first"), "{stderr}");
    }
}
