//! What an earlier release left is taken up by the binary of today: each directory `state/RELEASE` is copied, given more
//! to do and compared, to the document, with what should be there. Nothing is lost, nothing is there twice, nothing is
//! refused. `state/README.md` says what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use fenliu_tests::kafka::{self, Broker};
use serde_json::{Value, json};

mod documents;
mod job;
mod make;
mod outputs;
mod pipelines;
mod place;
mod topics;

use documents::{Fate, fate};
use outputs::{Found, Origin, Output};
use pipelines::{PIPELINES, Pipeline, pipeline};
use place::{Place, releases};

/// Documents that are new: their numbers follow those of the fixture.
const FIRST_NEW: usize = 1_000;

/// A broker with nothing in it but what these tests restore, since the names of topics are part of the state.
fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    kafka::broker().unwrap()?;
    Some(BROKER.get_or_init(|| Broker::own().unwrap()))
}

/// A pipeline that a release left.
struct Left<'a> {
    pipeline: &'static Pipeline,
    place: Place,
    broker: Option<&'a Broker>,
}

impl<'a> Left<'a> {
    /// A copy of it, at `broker` with its topics and what its group has committed.
    fn by(release: &str, name: &str, broker: Option<&'a Broker>) -> Self {
        let mut place = Place::of(release);
        let Some(broker) = broker else { return Left { pipeline: pipeline(name), place, broker: None } };
        place.set("BROKERS", broker.brokers());
        for entry in fs::read_dir(place.path(&format!("{name}/topics"))).unwrap() {
            topics::restore(broker, &fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        let group = serde_json::from_str(&place.read(&format!("{name}/group.json"))).unwrap();
        topics::restore_group(broker, &group);
        Left { pipeline: pipeline(name), place, broker: Some(broker) }
    }

    fn send(&self, file: &str, from: usize, count: usize) {
        let first = FIRST_NEW + from;
        self.pipeline.send(&self.place, self.broker, file, first, first + count);
    }

    fn read(&self, output: Output) -> Found {
        output.read(&self.place, self.pipeline.name, self.broker)
    }

    /// What is in the outputs and the dead letters, which must be what the release left there.
    fn read_all(&self) -> Vec<Found> {
        let outputs = self.pipeline.outputs.iter().chain([&self.pipeline.dead]);
        let found: Vec<Found> = outputs.map(|output| self.read(*output)).collect();
        let summaries: Value = found.iter().map(Found::summary).collect();
        let left = self.place.read(&format!("{}/outputs.json", self.pipeline.name));
        assert_eq!(summaries, serde_json::from_str::<Value>(&left).unwrap());
        found
    }

    /// The documents that should be rows, or else dead letters.
    fn expected(&self) -> (Vec<Origin>, BTreeMap<Origin, &'static str>) {
        let (mut labelled, mut dead) = (vec![], BTreeMap::new());
        for (origin, bytes) in self.pipeline.documents(&self.place, self.broker) {
            match fate(&bytes) {
                Fate::Labelled => labelled.push(origin),
                Fate::Dead(reason) => drop(dead.insert(origin, reason)),
            }
        }
        labelled.sort();
        (labelled, dead)
    }

    /// Runs the pipeline to the end and compares every output with what should be there, and with what was there
    /// `before`: rows with their labels, and columns.
    fn goes_on(&self, before: &[Found]) {
        self.pipeline.run(&self.place);
        let (labelled, dead) = self.expected();
        for (output, before) in self.pipeline.outputs.iter().zip(before) {
            let found = self.read(*output);
            assert_each_once(&format!("{output:?}"), &found, labelled.iter());
            assert_eq!(found.columns, before.columns, "{output:?}");
            for (origin, labels) in &before.rows {
                assert_eq!(found.rows[origin], *labels, "{output:?}: {origin:?}");
            }
        }
        assert_each_once("dead letters", &self.read(self.pipeline.dead), dead.keys());
        self.verify(labelled.len() + dead.len());
    }

    fn verify(&self, documents: usize) {
        let report = self.place.json(&["verify", "-c", &self.pipeline.file()]);
        assert_eq!(report["ok"], true, "{report:#}");
        for sink in report["sinks"].as_array().unwrap() {
            assert_eq!(sink["total"]["documents"], documents, "{sink:#}");
            assert_eq!(
                (&sink["total"]["lost"], &sink["total"]["not_reached"]),
                (&json!(0), &json!(0)),
                "{sink:#}"
            );
        }
    }

    fn letters(&self, args: &[&str]) -> String {
        let [command, rest @ ..] = args else { unreachable!() };
        self.place.run(&[&["dlq", command, "-c", &self.pipeline.file(), "--json"], rest].concat())
    }

    /// The dead letters are listed by reason, and shown with their bytes.
    fn letters_are_there(&self) {
        let there = self.read(self.pipeline.dead).rows;
        assert!(!there.is_empty(), "there are no letters");
        let bytes: BTreeMap<_, _> = self.pipeline.documents(&self.place, self.broker).into_iter().collect();
        let mut reasons = BTreeMap::<&str, u64>::new();
        for origin in there.keys() {
            let Fate::Dead(reason) = fate(&bytes[origin]) else { panic!("{origin:?} is no letter") };
            *reasons.entry(reason).or_default() += 1;
        }
        let list: Value = serde_json::from_str(&self.letters(&["list"])).unwrap();
        let groups = list["groups"].as_array().unwrap();
        let listed: BTreeMap<&str, u64> = groups
            .iter()
            .map(|group| (group["reason"].as_str().unwrap(), group["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(listed, reasons, "{list:#}");
        let shown = self.letters(&["show", "--limit", "0"]);
        assert_eq!(shown.lines().count(), there.len());
        for letter in shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let number = |name: &str| letter[name].as_i64().unwrap();
            let origin =
                (letter["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"));
            if let Some(payload) = letter["payload"].as_str() {
                assert_eq!(payload.as_bytes(), bytes[&origin], "{letter}");
            } else {
                assert_eq!(letter["payload_base64"], "eyJ0ZXh0IjogIv/+In0=", "{letter}");
            }
        }
    }

    /// Letters of one reason go back to the topic, once.
    fn letters_are_replayed(&self) {
        let (topic, _) = self.pipeline.topic(&self.place.release).unwrap();
        let (_, dead) = self.expected();
        let count = dead.values().filter(|reason| **reason == "invalid_json").count();
        let replay =
            || serde_json::from_str::<Value>(&self.letters(&["replay", "--reason", "invalid_json"])).unwrap();
        assert_eq!(replay()["sent"], json!({ &topic: count }));
        let again = replay();
        assert_eq!((&again["sent"], &again["replayed_before"]), (&json!({}), &json!(count)), "{again}");
        let records = self.broker.unwrap().consume_all(&topic).unwrap();
        let value = |partition: i64, offset: i64| {
            &records.iter().find(|r| (i64::from(r.partition), r.offset) == (partition, offset)).unwrap().value
        };
        let replayed = |header: &&(String, Vec<u8>)| header.0 == "fenliu.replayed_from";
        let mut found = 0;
        for record in &records {
            let Some((_, from)) = record.headers.iter().find(replayed) else { continue };
            let mut parts = std::str::from_utf8(from).unwrap().rsplit('/').map(|part| part.parse::<i64>());
            let (offset, partition) = (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap());
            assert_eq!(record.value, *value(partition, offset));
            found += 1;
        }
        assert_eq!(found, count);
    }
}

fn assert_each_once<'a>(name: &str, found: &Found, expected: impl Iterator<Item = &'a Origin>) {
    let expected: Vec<&Origin> = expected.collect();
    let lost: Vec<_> = expected.iter().filter(|origin| !found.rows.contains_key(**origin)).collect();
    let twice: Vec<_> = found.rows.iter().filter(|(_, rows)| rows.len() != 1).collect();
    println!(
        "{name}: {} of {} rows, {} lost, {} twice",
        found.rows.len(),
        expected.len(),
        lost.len(),
        twice.len()
    );
    assert!(lost.is_empty() && twice.is_empty(), "{name}: lost {lost:?}, twice {twice:?}");
    assert_eq!(found.rows.len(), expected.len(), "{name}: rows that should not be there");
}

/// The labels and scores that a version of the model gives.
fn predictions(place: &Place, alias: &str, texts: &[&str]) -> Value {
    let model = format!("models/headlines@{alias}");
    let printed = place.run(&[&["predict", "--model", &model, "--json"], texts].concat());
    printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

#[test]
fn an_archive_that_grew_is_read_on() {
    for release in releases() {
        let left = Left::by(&release, "archive", None);
        left.letters_are_there();
        let before = left.read_all();
        left.goes_on(&before);
        left.send("a", 0, 30);
        left.send("b", 30, 30);
        left.goes_on(&before);
    }
}

/// A process was killed, and left its sinks at different positions.
#[test]
fn files_and_tables_are_filled_on_from_a_topic() {
    let Some(broker) = broker() else { return };
    for release in releases() {
        let left = Left::by(&release, "desk", Some(broker));
        left.letters_are_there();
        let before = left.read_all();
        left.goes_on(&before);
        left.send("", 0, 60);
        left.goes_on(&before);
        left.letters_are_replayed();
        left.goes_on(&before);
    }
}

#[test]
fn a_group_goes_on_from_its_offsets_into_the_topics_that_it_filled() {
    let Some(broker) = broker() else { return };
    for release in releases() {
        let left = Left::by(&release, "wire", Some(broker));
        left.letters_are_there();
        let before = left.read_all();
        left.send("", 0, 60);
        left.goes_on(&before);
        left.letters_are_replayed();
        left.goes_on(&before);
    }
}

#[test]
fn a_model_keeps_its_versions_and_their_aliases() {
    for release in releases() {
        let place = Place::of(&release);
        let model = |args: &[&str]| place.json(&[&["model"], args].concat());
        let version = |alias: &str| model(&["show", &format!("headlines@{alias}")])["version"].clone();
        let list = model(&["list"]);
        let [first, second] = &list.as_array().unwrap()[..] else { panic!("{list:#}") };
        let (first, second) = (&first["version"], &second["version"]);
        assert_eq!(
            ["champion", "previous", "challenger"].map(version),
            [second, first, first].map(Clone::clone)
        );
        place.run(&["model", "verify", "headlines"]);
        assert_predictions(&place, ["champion", "previous"]);

        model(&["rollback", "headlines"]);
        assert_eq!(version("champion"), *first);
        model(&["promote", &format!("headlines@{}", second.as_str().unwrap())]);
        assert_predictions(&place, ["champion", "previous"]);
        let history = &model(&["show", "headlines"])["history"];
        assert_eq!(history["problems"], json!([]), "{history:#}");
        assert_eq!(history["entries"].as_array().unwrap().len(), 5, "{history:#}");
    }
}

/// Compares what the versions of `aliases` answer with what they answered when they were made.
fn assert_predictions(place: &Place, aliases: [&str; 2]) {
    let kept: Value = serde_json::from_str(&place.read("models/predictions.json")).unwrap();
    let texts: Vec<&str> =
        kept["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for alias in aliases {
        let (found, kept) = (predictions(place, alias, &texts), &kept["aliases"][alias]);
        assert_eq!(found.as_array().unwrap().len(), texts.len());
        for (found, kept) in found.as_array().unwrap().iter().zip(kept.as_array().unwrap()) {
            let difference = found["score"].as_f64().unwrap() - kept["score"].as_f64().unwrap();
            assert!(
                found["label"] == kept["label"] && difference.abs() < 1e-4,
                "{alias}: {found} was {kept}"
            );
        }
    }
}

#[test]
fn a_job_that_was_killed_goes_on_from_its_checkpoint() {
    for release in releases() {
        let place = Place::of(&release);
        let (before, epochs) = (job::state(&place), job::epochs(&place).unwrap());
        assert!(!epochs.is_empty(), "the checkpoint is of no epoch");
        let report = place.json(&job::FINETUNE);
        assert_eq!((&report["verdict"], &report["resumes"]), (&json!("promoted"), &json!(1)), "{report:#}");
        let after = job::state(&place);
        assert_eq!((&after["job"], &after["base"]), (&before["job"], &before["base"]));
        // Whoever had begun anew would have taken other times for them.
        let made = after_epochs(&place);
        assert_eq!(made[..epochs.len()], epochs);
        assert!(made.len() > epochs.len(), "{made:?}");
        let shown = place.json(&["model", "show", "headlines"]);
        assert_eq!((&shown["version"], &shown["champion"]["previous"]), (&after["version"], &before["base"]));
    }
}

/// The reports of all epochs of a job that is over.
fn after_epochs(place: &Place) -> Vec<Value> {
    let file = job::directory(place).unwrap().join("report.json");
    let report: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    report["train"]["epochs"].as_array().unwrap().clone()
}

#[test]
fn configurations_are_accepted() {
    for release in releases() {
        let place = Place::of(&release);
        let entries = fs::read_dir(place.path("config")).unwrap();
        let examples =
            entries.map(|entry| format!("config/{}", entry.unwrap().file_name().to_str().unwrap()));
        let files: Vec<String> = examples.chain(PIPELINES.iter().map(Pipeline::file)).collect();
        assert!(files.len() > PIPELINES.len() + 2, "{files:?}");
        for file in files {
            let finished = place.finish(&["check", "-c", &file, "--json"]);
            assert!(finished.status.success(), "{release}: {file}: {}", finished.stderr);
            place.run(&["config", "-c", &file]);
        }
        place.json(&["check", "-c", job::FINETUNE[2]]);
    }
}
