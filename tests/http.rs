//! The HTTP side of a running pipeline: what it shows, who may change what, and where corrections go.

use std::time::Duration;

use fenliu_tests::binary::{self, Running};
use fenliu_tests::http::{Answer, Site};
use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, articles, stop};
use crate::hot_swap::Model;

const DOCUMENTS: usize = 60;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [model]
    bundle = "MODEL"
    watch = "50ms"
    [model.canary]
    rows = 0
    [finetune.feedback]
    topic = "TOPIC-corrections"
    [[sinks]]
    type = "files"
    path = "DIR/out"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
    [epoch]
    max_age = "200ms"
    [http]
    listen = "ADDRESS"
    ops = "OPS"
    [http.auth]
    mode = "token"
    tokens = [
        { name = "ada", role = "editor", token = "token-of-ada-01234567" },
        { name = "sre", role = "operator", token = "token-of-sre-01234567" },
    ]
"#;

struct Desk {
    broker: &'static Broker,
    model: Model,
    topic: String,
    site: Site,
    ops: Site,
    running: Running,
    _directory: TempDir,
}

impl Desk {
    fn open(broker: &'static Broker) -> Self {
        let (model, topic, directory) = (Model::new(), unique_name("desk"), tempfile::tempdir().unwrap());
        for suffix in ["", "-corrections"] {
            broker.create_topic(&format!("{topic}{suffix}"), 1).unwrap();
        }
        let (site, ops) = (Site::free().unwrap(), Site::free().unwrap());
        let file = directory.path().join("fenliu.toml");
        let text = CONFIG
            .replace("TOPIC", &topic)
            .replace("BROKERS", broker.brokers())
            .replace("MODEL", model.path().to_str().unwrap())
            .replace("DIR", directory.path().to_str().unwrap())
            .replace("ADDRESS", &site.address())
            .replace("OPS", &ops.address());
        std::fs::write(&file, text).unwrap();
        let running = binary::start(&["run", "-c", file.to_str().unwrap(), "--json"]).unwrap();
        Desk { broker, model, topic, site, ops, running, _directory: directory }
    }

    fn send(&self) {
        let record = |article: &Value| NewRecord {
            value: Some(article.to_string().into_bytes()),
            ..NewRecord::default()
        };
        let mut records: Vec<NewRecord> = articles(DOCUMENTS).iter().map(record).collect();
        records.push(NewRecord { value: Some(b"{\"title\": \"cut off".to_vec()), ..NewRecord::default() });
        self.broker.produce(&self.topic, &records).unwrap();
    }

    fn ask(&self, user: &str, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer token-of-{user}-01234567");
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        let text = if method == "GET" { String::new() } else { body.to_string() };
        self.site.request(method, &format!("/api/v1{path}"), &headers, &text).unwrap()
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("ada", "GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    fn post(&self, user: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.ask(user, "POST", path, body);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        answer.json()
    }

    fn metric(&self, series: &str) -> Option<f64> {
        self.ops.metric(&series.replace("TOPIC", &self.topic)).unwrap()
    }

    fn corrections(&self) -> Vec<Value> {
        let records = self.broker.consume_all(&format!("{}-corrections", self.topic)).unwrap();
        records.iter().map(|record| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()).collect()
    }

    fn wait_for_documents(&self) -> Vec<Value> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let listed = self.get("/documents?limit=500");
            if listed["total"] == DOCUMENTS {
                return listed["documents"].as_array().unwrap().clone();
            }
            assert!(std::time::Instant::now() < deadline, "{}", listed["total"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_running_pipeline_is_seen_and_corrected_over_http() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let desk = Desk::open(broker);
    desk.ops.wait("/ready", PATIENCE, |answer| answer.status == 200).unwrap();
    desk.send();
    let documents = desk.wait_for_documents();
    shown_in_the_metrics(&desk);
    corrected_and_taken_back(&desk, &documents);
    asked(&desk, &documents);
    promoted_and_rolled_back(&desk);
    refused(&desk, &documents);
    let finished = stop(desk.running);
    let summary = crate::fixtures::json(&finished.stdout);
    assert_eq!(
        (&summary["labelled"], &summary["dead_letters"]["invalid_json"]),
        (&json!(DOCUMENTS), &json!(1))
    );
}

fn shown_in_the_metrics(desk: &Desk) {
    let lag = r#"fenliu_lag_documents{topic="TOPIC",partition="0"}"#.replace("TOPIC", &desk.topic);
    let is_caught_up = |answer: &Answer| answer.body.contains(&format!("{lag} 0\n"));
    desk.ops.wait("/metrics", PATIENCE, is_caught_up).unwrap();
    let received = desk.metric(r#"fenliu_received_documents_total{topic="TOPIC"}"#);
    assert_eq!(received, Some(DOCUMENTS as f64 + 1.0));
    assert_eq!(desk.metric(r#"fenliu_dead_letters_total{stage="decode",reason="invalid_json"}"#), Some(1.0));
    assert_eq!(desk.metric("fenliu_label_score_count"), Some(DOCUMENTS as f64));
    assert_eq!(desk.metric(r#"fenliu_lag_seconds{topic="TOPIC",partition="0"}"#), Some(0.0));
    assert_eq!(
        desk.metric(r#"fenliu_latency_seconds_count{until="committed"}"#),
        Some(DOCUMENTS as f64 + 1.0)
    );
    let status = desk.get("/status");
    assert_eq!(status["documents"]["labelled"], DOCUMENTS, "{status}");
    let stages: Vec<&str> =
        status["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(
        ["source", "clean", "tokenize", "model", "write"].iter().all(|stage| stages.contains(stage)),
        "{stages:?}"
    );
    assert_eq!(status["health"], json!({ "live": true, "ready": true, "degraded": [] }));
    let letters = desk.get("/dead-letters");
    assert_eq!(letters["samples"][0]["text"], "{\"title\": \"cut off", "{letters}");
    // The second listener has health and metrics, and nothing else.
    assert_eq!(desk.ops.get("/live").unwrap().status, 200);
    assert_eq!(desk.ops.get("/api/v1/status").unwrap().status, 404);
}

fn corrected_and_taken_back(desk: &Desk, documents: &[Value]) {
    let document = &documents[0];
    let other = desk.get("/status")["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label["id"].clone())
        .find(|label| *label != document["label"])
        .unwrap();
    let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let body = json!({ "ulid": ulid, "key": document["key"], "label": other, "queue": "desk" });
    let made = desk.post("ada", "/corrections", &body, 201);
    assert_eq!(
        (&made["by"], &made["predicted"], &made["withdrawn"]),
        (&json!("ada"), &document["label"], &json!(false))
    );
    // A browser that got no answer sends it again.
    assert_eq!(desk.post("ada", "/corrections", &body, 201)["at"], made["at"]);
    let corrections = desk.corrections();
    assert_eq!(corrections.len(), 1, "{corrections:?}");
    let correction = &corrections[0];
    assert_eq!(
        (&correction["label"], &correction["by"], &correction["id"]),
        (&other, &json!("ada"), &document["id"])
    );
    assert!(correction["at"].is_i64() && correction["body"].as_str().is_some_and(|body| body.len() > 20));
    assert_eq!(
        desk.get(&format!("/documents/{}", document["key"].as_str().unwrap()))["correction"]["label"],
        other
    );
    let corrected = desk.get(&format!("/documents?corrected=true&label={}", other.as_str().unwrap()));
    assert_eq!(corrected["total"], 1);

    let taken_back = desk.post("ada", &format!("/corrections/{ulid}/withdraw"), &json!({}), 201);
    assert_eq!(taken_back["withdrawn"], true);
    let corrections = desk.corrections();
    assert_eq!((corrections.len(), &corrections[1]["withdrawn"]), (2, &json!(true)));
    assert_eq!(desk.get("/documents?corrected=true")["total"], 0);
    assert_eq!(desk.metric(r#"fenliu_corrections_total{kind="changed"}"#), Some(1.0));

    // Alike stories get their label at once.
    let keys: Vec<&Value> = documents[1..4].iter().map(|document| &document["key"]).collect();
    let body =
        json!({ "ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAW", "keys": keys, "label": other, "queue": "alike" });
    assert_eq!(desk.post("ada", "/corrections", &body, 201)["corrections"].as_array().unwrap().len(), 3);
    let review = desk.get("/review?limit=20");
    assert!(review["items"].as_array().unwrap().iter().all(|item| !keys.contains(&&item["document"]["key"])));
    let audits = review["items"].as_array().unwrap().iter().filter(|item| item["queue"] == "audit");
    assert!(audits.clone().all(|audit| audit["document"].get("label").is_none()), "{review}");
}

fn asked(desk: &Desk, documents: &[Value]) {
    let question = json!({ "texts": ["shares fell after the profit warning", { "title": " ", "body": "" }] });
    let answer = desk.post("ada", "/predict", &question, 200);
    assert!(
        answer["predictions"][0]["label"].is_string() && answer["predictions"][1]["rejected"].is_string(),
        "{answer}"
    );
    let path = format!("/documents/{}/explain", documents[0]["key"].as_str().unwrap());
    let explanation = desk.post("ada", &path, &json!({}), 200);
    assert_eq!(
        (&explanation["label"], explanation["pieces"].as_array().unwrap().is_empty()),
        (&documents[0]["label"], false)
    );
}

fn promoted_and_rolled_back(desk: &Desk) {
    let [first, second] = &desk.model.versions[..] else { unreachable!() };
    let wish =
        |expected: &str| json!({ "version": second, "expected_champion": expected, "reason": "better" });
    assert_eq!(desk.ask("ada", "POST", "/models/promote", &wish(first)).status, 403, "an editor");
    let conflict = desk.post("sre", "/models/promote", &wish(second), 409);
    assert!(conflict["detail"].as_str().unwrap().contains(first.as_str()), "{conflict}");
    assert_eq!(desk.post("sre", "/models/promote", &wish(first), 200)["champion"], *second);
    let is_in_use = |version: &str| desk.get("/status")["model"]["version"] == version;
    wait_until(|| is_in_use(second));
    let models = desk.get("/models");
    assert_eq!(
        (&models["champion"], &models["previous"], &models["history"][0]["by"]),
        (&json!(second), &json!(first), &json!("sre"))
    );
    let back = json!({ "expected_champion": second, "reason": "worse" });
    assert_eq!(desk.post("sre", "/models/rollback", &back, 200)["champion"], *first);
    wait_until(|| is_in_use(first));
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn refused(desk: &Desk, documents: &[Value]) {
    let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAX";
    let unknown = json!({ "ulid": ulid, "key": documents[0]["key"], "label": "weather" });
    let problem = desk.post("ada", "/corrections", &unknown, 400);
    assert!(
        problem["detail"].as_str().unwrap().starts_with("`weather` is not a label of the model, which has: ")
    );
    let gone = json!({ "ulid": ulid, "key": "news/7/7", "label": documents[0]["label"] });
    let problem = desk.post("ada", "/corrections", &gone, 404);
    assert!(problem["detail"].as_str().unwrap().contains("http.feed"), "{problem}");
    let before = desk.corrections().len();
    let json = ("Content-Type", "application/json");
    let bearer = ("Authorization", "Bearer token-of-ada-01234567");
    for (method, path, headers, status) in [
        ("GET", "/api/v1/status", &[][..], 401),
        ("GET", "/api/v1/status", &[bearer, ("Host", "evil.example")], 421),
        ("DELETE", "/api/v1/corrections", &[bearer, json], 405),
        ("POST", "/api/v1/corrections", &[bearer, json, ("Sec-Fetch-Site", "cross-site")], 403),
        ("POST", "/api/v1/corrections", &[bearer, ("Content-Type", "text/plain")], 415),
        ("GET", "/api/v1/nothing", &[bearer], 404),
        ("GET", "/../../etc/passwd", &[], 404),
        ("GET", "/", &[], 200),
    ] {
        let answer = desk.site.request(method, path, headers, "").unwrap();
        assert_eq!(answer.status, status, "{method} {path} {headers:?}: {answer:?}");
        assert!(
            answer.head.contains("content-security-policy: default-src 'none'"),
            "{path}: {}",
            answer.head
        );
        assert!(!answer.head.contains("access-control-allow"), "{path}: {}", answer.head);
    }
    assert_eq!(desk.corrections().len(), before, "nothing was written");
}

#[test]
fn an_address_that_others_can_reach_needs_authentication() {
    let refused = crate::fixtures::fails(&["check", "--set", "http.listen=0.0.0.0:0"], 2);
    assert!(refused.contains("http.listen") && refused.contains("http.auth.mode"), "{refused}");
}
