//! What an earlier release left is taken up by the binary of today: each directory `state/RELEASE` is copied, given more
//! to do and compared, to the document, with what should be there. Nothing is lost, nothing is there twice, nothing is
//! refused. `state/README.md` says what is in it.

use std::fs;
use std::sync::OnceLock;

use fenliu_tests::kafka::{self, Broker};
use serde_json::{Value, json};

mod documents;
mod job;
mod left;
mod letters;
mod make;
mod outputs;
mod pipelines;
mod place;
mod topics;

use left::Left;
use pipelines::{PIPELINES, Pipeline};
use place::{Place, releases};

/// A broker with nothing in it but what these tests restore, since the names of topics are part of the state.
fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    kafka::broker().unwrap()?;
    Some(BROKER.get_or_init(|| Broker::own().unwrap()))
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
