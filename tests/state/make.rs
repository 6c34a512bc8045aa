//! Makes a fixture: what the binary `FENLIU_BINARY` leaves, as `state/$FENLIU_STATE`. `make.sh` runs it.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::kafka::Broker;
use fenliu_tests::scripts::repository;
use serde_json::{Value, json};

use super::documents::story;
use super::pipelines::{PARTITIONS, PIPELINES, Pipeline, pipeline};
use super::place::Place;
use super::{job, topics};
use crate::fixtures::PATIENCE;

/// Documents to train and to judge on; every fifth is of the latter.
const STORIES: usize = 150;

/// Runs of each pipeline.
const ROUNDS: usize = 3;

/// Documents before each run.
const ROUND: usize = 12;

/// The network, as small as it can be and learn something.
const SMALL: [&str; 8] = [
    "ngrams.enabled=false",
    "vocabulary.max_size=120",
    "encoder.width=8",
    "encoder.heads=2",
    "encoder.feed_forward=8",
    "max_tokens=64",
    "learning_rate=1e-2",
    "batch_rows=16",
];

/// Texts whose labels by each version are kept.
const TEXTS: [&str; 3] = [
    "On Monday the bank and the bond were what people talked about.",
    "记者今天了解到，球队和教练受到了大家的关注。",
    "On Friday the storm and the rain were what people talked about.",
];

#[test]
#[ignore = "writes a fixture instead of testing anything: see state/make.sh"]
fn make() {
    let release = std::env::var("FENLIU_STATE").expect("FENLIU_STATE names the release");
    let fixture = repository().join("tests/state").join(&release);
    assert!(!fixture.exists(), "{} is there already", fixture.display());
    let broker = Broker::own().unwrap();
    let mut place = Place::empty(&release);
    place.set("BROKERS", broker.brokers());
    write_examples(&place);
    train(&place);
    for pipeline in &PIPELINES {
        place.write(&pipeline.file(), pipeline.config(&release));
    }
    archive(&place);
    desk(&place, &broker);
    wire(&place, &broker);
    for pipeline in &PIPELINES {
        let outputs = pipeline.outputs.iter().chain([&pipeline.dead]);
        let found = outputs.map(|output| output.read(&place, pipeline.name, Some(&broker)).summary());
        place.write(&format!("{}/outputs.json", pipeline.name), Value::from_iter(found).to_string());
    }
    job::leave_half_done(&place);
    println!("{}: {} bytes", fixture.display(), place.keep());
}

/// The default configuration, and the examples of the READMEs at the release: the first by itself, and each other one
/// beside it. The binary must accept them later, when there is a model.
fn write_examples(place: &Place) {
    place.write("config/default.toml", place.run(&["config", "--default"]));
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(repository()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let files = git(&["ls-tree", "-r", "--name-only", &place.release]);
    let readmes = files.lines().filter(|name| *name == "README.md" || name.ends_with("/README.md"));
    let texts: Vec<String> =
        readmes.map(|name| git(&["show", &format!("{}:{name}", place.release)])).collect();
    let examples: Vec<&str> = texts.iter().flat_map(|text| examples(text)).collect();
    let (first, others) = examples.split_first().expect("a README has no example");
    place.write("config/readme-0.toml", first);
    for (number, other) in others.iter().enumerate() {
        place.write(&format!("config/readme-{}.toml", number + 1), format!("{first}\n{other}"));
    }
}

/// What stands between the fences of TOML.
fn examples(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// A model in two versions: the second is champion, the first was champion before and is challenger.
fn train(place: &Place) {
    let split = |n: usize| if n % 5 == 4 { "valid" } else { "train" };
    let row = |n: usize| {
        let mut row = story(n);
        row["split"] = split(n).into();
        row.to_string() + "\n"
    };
    place.write("headlines.jsonl", (0..STORIES).map(row).collect::<String>());
    let options: Vec<&str> = SMALL.iter().flat_map(|option| ["--option", option]).collect();
    for seed in ["1", "2"] {
        let data = ["--data", "headlines.jsonl", "--select", "split=train"];
        let dev = ["--dev", "headlines.jsonl", "--dev-select", "split=valid"];
        let how = ["--tokenization", "subword", "--preset", "tiny", "--epochs", "20", "--seed", seed];
        let args = ["train", "-c", "config/readme-0.toml", "--name", "headlines"];
        place.run(&[&args[..], &data, &dev, &how, &options].concat());
    }
    let mut versions = names(place, "models/headlines/versions");
    versions.sort();
    let [first, second] = &versions[..] else { panic!("{versions:?}") };
    for args in [
        &["promote", &format!("headlines@{first}")] as &[&str],
        &["promote", &format!("headlines@{second}"), "--reason", "better"],
        &["promote", &format!("headlines@{first}"), "--challenger"],
    ] {
        place.run(&[&["model"], args].concat());
    }
    let predictions =
        ["champion", "previous"].map(|alias| (alias.to_owned(), super::predictions(place, alias, &TEXTS)));
    place.write(
        "models/predictions.json",
        json!({ "texts": TEXTS, "aliases": Value::from_iter(predictions) }).to_string(),
    );
}

fn names(place: &Place, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(directory)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Two rounds, of which small files are then made large ones, and one more.
fn rounds(pipeline: &Pipeline, place: &Place, broker: Option<&Broker>) {
    for round in 0..ROUNDS {
        pipeline.send(place, broker, "a", round * ROUND, (round + 1) * ROUND);
        pipeline.run(place);
        if round == 1 && pipeline.name != "wire" {
            place.run(&["compact", "-c", &pipeline.file()]);
        }
    }
}

fn archive(place: &Place) {
    rounds(pipeline("archive"), place, None);
}

/// The sinks stand at different positions at the end, and the group at the lowest of them; a file is committed and has
/// not got its name yet, and another was never committed: all of which happens where a process is killed.
fn desk(place: &Place, broker: &Broker) {
    let desk = pipeline("desk");
    let (topic, group) = desk.topic(&place.release).unwrap();
    topics::create(broker, &topic, PARTITIONS);
    rounds(desk, place, Some(broker));
    let before = newest_manifest(place)["number"].clone();
    desk.send(place, Some(broker), "", ROUNDS * ROUND, (ROUNDS + 1) * ROUND);
    let running = place.start(&["run", "-c", &desk.file()]);
    wait_until("the freshest sink has committed", || newest_manifest(place)["number"] != before);
    running.signal("KILL").unwrap();
    drop(running);
    let group = topics::dump_group(broker, &group, &topic);
    let next = |positions: &Value| -> i64 {
        positions.as_array().unwrap().iter().map(|position| position["next"].as_i64().unwrap()).sum()
    };
    assert!(
        next(&newest_manifest(place)["positions"]) > next(&group["committed"]),
        "all stand where the first stands"
    );
    leave_unnamed(place);
    dump(place, broker, &[&topic], &group);
}

/// The newest manifest of `desk/labelled`.
fn newest_manifest(place: &Place) -> Value {
    let directory = "desk/labelled/_manifests/0000000";
    let newest = names(place, directory).into_iter().filter(|name| name.ends_with(".json")).max().unwrap();
    serde_json::from_str(&place.read(&format!("{directory}/{newest}"))).unwrap()
}

/// Gives the newest file of `desk/labelled` its hidden name back, and lays beside it one that nobody committed.
fn leave_unnamed(place: &Place) {
    let directory = place.path("desk/labelled");
    let newest = newest_manifest(place);
    let name = newest["files"][0]["name"].as_str().unwrap();
    let hidden = directory.join(format!(".{name}.inprogress"));
    if directory.join(name).exists() {
        fs::rename(directory.join(name), &hidden).unwrap();
    }
    let (stem, ending) = name.rsplit_once('.').unwrap();
    let other = format!(".{}0000.{ending}.inprogress", &stem[..stem.len() - 4]);
    fs::copy(hidden, directory.join(other)).unwrap();
}

/// Some documents are not read yet.
fn wire(place: &Place, broker: &Broker) {
    let wire = pipeline("wire");
    let (topic, group) = wire.topic(&place.release).unwrap();
    let outputs = wire.output_topics(&place.release);
    for topic in outputs.iter().chain([&topic]) {
        topics::create(broker, topic, PARTITIONS);
    }
    rounds(wire, place, Some(broker));
    wire.send(place, Some(broker), "", ROUNDS * ROUND, (ROUNDS + 1) * ROUND);
    let all: Vec<&str> = outputs.iter().chain([&topic]).map(String::as_str).collect();
    dump(place, broker, &all, &topics::dump_group(broker, &group, &topic));
}

fn dump(place: &Place, broker: &Broker, topics: &[&str], group: &Value) {
    let (name, _) = topics[0].split_once('-').unwrap();
    for topic in topics {
        place.write(&format!("{name}/topics/{topic}.jsonl"), topics::dump(broker, topic, PARTITIONS));
    }
    place.write(&format!("{name}/group.json"), group.to_string());
}

pub(super) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
