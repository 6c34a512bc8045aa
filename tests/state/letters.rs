//! The dead letters that a release left: listed by reason, shown with their bytes, and sent back once.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fenliu_tests::kafka::Record;
use serde_json::{Value, json};

use super::documents::{Fate, fate};
use super::left::Left;
use super::outputs::Origin;

/// The header that says where a message that came back had been.
const REPLAYED_FROM: &str = "fenliu.replayed_from";

/// The bytes of each document.
type Payloads = BTreeMap<Origin, Vec<u8>>;

impl Left<'_> {
    /// `fenliu dlq` with `--json`.
    fn dlq(&self, command: &str, args: &[&str]) -> String {
        self.place.run(&[&["dlq", command, "-c", &self.pipeline.file(), "--json"], args].concat())
    }

    /// Letters are listed by reason, and shown with their bytes.
    pub(super) fn letters_are_there(&self) {
        let there: Vec<Origin> = self.read(self.pipeline.dead).rows.into_keys().collect();
        assert!(!there.is_empty(), "there are no letters");
        let payloads = self.pipeline.documents(&self.place, self.broker).into_iter().collect();
        self.are_listed(&there, &payloads);
        self.are_shown(&there, &payloads);
    }

    fn are_listed(&self, there: &[Origin], payloads: &Payloads) {
        let mut reasons = BTreeMap::<&str, u64>::new();
        for origin in there {
            let Fate::Dead(reason) = fate(&payloads[origin]) else { panic!("{origin:?} is no letter") };
            *reasons.entry(reason).or_default() += 1;
        }
        let list: Value = serde_json::from_str(&self.dlq("list", &[])).unwrap();
        let group =
            |group: &Value| (group["reason"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap());
        let listed: BTreeMap<String, u64> = list["groups"].as_array().unwrap().iter().map(group).collect();
        let reasons = reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
        assert_eq!(listed, reasons, "{list:#}");
    }

    fn are_shown(&self, there: &[Origin], payloads: &Payloads) {
        let shown = self.dlq("show", &["--limit", "0"]);
        let letters: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(letters.len(), there.len());
        for letter in letters {
            let number = |name: &str| letter[name].as_i64().unwrap();
            let topic = letter["topic"].as_str().unwrap().to_owned();
            let payload = &payloads[&(topic, number("partition"), number("offset"))];
            match std::str::from_utf8(payload) {
                Ok(text) => assert_eq!(letter["payload"], text, "{letter}"),
                Err(_) => assert_eq!(letter["payload_base64"], BASE64_STANDARD.encode(payload), "{letter}"),
            }
        }
    }

    /// Letters of one reason go back to the topic with their bytes, once.
    pub(super) fn letters_are_replayed(&self) {
        let (topic, _) = self.pipeline.topic(&self.place.release).unwrap();
        let (_, dead) = self.expected();
        let count = dead.values().filter(|reason| **reason == "invalid_json").count();
        let replay =
            || -> Value { serde_json::from_str(&self.dlq("replay", &["--reason", "invalid_json"])).unwrap() };
        assert_eq!(replay()["sent"], json!({ &topic: count }));
        let again = replay();
        assert_eq!((&again["sent"], &again["replayed_before"]), (&json!({}), &json!(count)), "{again}");
        let records = self.broker.unwrap().consume_all(&topic).unwrap();
        let replayed: Vec<(&Record, Origin)> =
            records.iter().filter_map(|record| Some((record, replayed_from(record)?))).collect();
        assert_eq!(replayed.len(), count);
        let payloads: Payloads = self.pipeline.documents(&self.place, self.broker).into_iter().collect();
        for (record, from) in replayed {
            assert_eq!(record.value.as_ref(), Some(&payloads[&from]), "{from:?}");
        }
    }
}

fn replayed_from(record: &Record) -> Option<Origin> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == REPLAYED_FROM)?;
    let mut parts = std::str::from_utf8(value).unwrap().rsplitn(3, '/');
    let mut next = || parts.next().unwrap();
    let (offset, partition) = (next().parse().unwrap(), next().parse().unwrap());
    Some((next().to_owned(), partition, offset))
}
