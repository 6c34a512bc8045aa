//! A pipeline that a release left, given more to do and compared with what should be there.

use std::collections::BTreeMap;
use std::fs;

use fenliu_tests::kafka::Broker;
use serde_json::{Value, json};

use super::documents::{Fate, fate};
use super::outputs::{Found, Origin, Output};
use super::pipelines::{Pipeline, pipeline};
use super::place::Place;
use super::topics;

/// Documents that are new: their numbers follow those of the fixture.
const FIRST_NEW: usize = 1_000;

/// A pipeline that a release left.
pub(super) struct Left<'a> {
    pub(super) pipeline: &'static Pipeline,
    pub(super) place: Place,
    pub(super) broker: Option<&'a Broker>,
}

impl<'a> Left<'a> {
    /// A copy of it, at `broker` with its topics and what its group has committed.
    pub(super) fn by(release: &str, name: &str, broker: Option<&'a Broker>) -> Self {
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

    pub(super) fn send(&self, file: &str, from: usize, count: usize) {
        let first = FIRST_NEW + from;
        self.pipeline.send(&self.place, self.broker, file, first, first + count);
    }

    pub(super) fn read(&self, output: Output) -> Found {
        output.read(&self.place, self.pipeline.name, self.broker)
    }

    /// What is in the outputs and the dead letters, which must be what the release left there.
    pub(super) fn read_all(&self) -> Vec<Found> {
        let outputs = self.pipeline.outputs.iter().chain([&self.pipeline.dead]);
        let found: Vec<Found> = outputs.map(|output| self.read(*output)).collect();
        let summaries: Value = found.iter().map(Found::summary).collect();
        let left = self.place.read(&format!("{}/outputs.json", self.pipeline.name));
        assert_eq!(summaries, serde_json::from_str::<Value>(&left).unwrap());
        found
    }

    /// The documents that should be rows, or else dead letters.
    pub(super) fn expected(&self) -> (Vec<Origin>, BTreeMap<Origin, &'static str>) {
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
    pub(super) fn goes_on(&self, before: &[Found]) {
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
