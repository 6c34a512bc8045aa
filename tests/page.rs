//! The page, in a real browser, over a real pipeline with Chinese and English news: `tests/web/suite.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use fenliu_skip::{Part, skipped};
use fenliu_tests::binary;
use fenliu_tests::http::Site;
use fenliu_tests::kafka::{self, NewRecord, unique_name};
use serde_json::{Value, json};

use crate::fixtures::{PATIENCE, articles, rows, run, stop};

/// Stories of each language.
const STORIES: usize = 120;

/// Labelled rows of each language that the model is trained on.
const TRAINED: usize = 1500;

const HEADLINES: &str = "headlines_zh_thucnews.jsonl";

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [model]
    bundle = "DIR/models/news"
    [finetune.feedback]
    paths = ["DIR/corrections"]
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
"#;

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

/// The tools of the suite, which npm installs once; `None` if there is no Node or no Chromium.
fn tools() -> Option<PathBuf> {
    let works =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    let missing = [("node", works("node")), ("npm", works("npm")), ("chromium", works("chromium"))];
    if let Some((program, _)) = missing.iter().find(|(_, works)| !works) {
        skipped(Part::Browser, format!("`{program}` is missing"));
        return None;
    }
    if !web().join("node_modules/playwright-core").exists() {
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(web()).output().unwrap();
        assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
    }
    Some(web())
}

fn node(args: &[&str]) -> (bool, String) {
    let output =
        Command::new("node").args(args).env("FENLIU_PATIENCE", "4").current_dir(web()).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

/// Headlines in both languages, each third one twice with a small change.
fn stories() -> Option<Vec<Value>> {
    let path = fenliu_tests::data::shared(HEADLINES)?;
    let text = std::fs::read_to_string(path).unwrap();
    let chinese = text.lines().take(STORIES).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut stories: Vec<Value> = chinese
        .zip(articles(STORIES))
        .enumerate()
        .flat_map(|(n, (chinese, english))| {
            let url = format!("https://news.example/{n}");
            [
                json!({ "id": format!("zh-{n}"), "title": chinese["text"], "source": "thucnews", "url": url }),
                json!({ "id": format!("en-{n}"), "title": start(&english), "body": english["body"], "source": "reuters" }),
            ]
        })
        .collect();
    let again: Vec<Value> = stories.iter().step_by(3).map(again).collect();
    stories.extend(again);
    Some(stories)
}

fn start(article: &Value) -> String {
    article["body"].as_str().unwrap_or_default().chars().take(60).collect()
}

fn again(story: &Value) -> Value {
    let mut copy = story.clone();
    copy["id"] = json!(format!("{}-again", story["id"].as_str().unwrap()));
    copy["title"] = json!(format!("{} !", story["title"].as_str().unwrap()));
    copy
}

#[test]
fn modules_without_a_screen_and_the_types_of_all_are_right() {
    let Some(web) = tools() else { return };
    let units = ["--test", "unit/"];
    let (passed, text) = node(&units);
    assert!(passed, "{text}");
    let checked = Command::new("npm").args(["run", "--silent", "check"]).current_dir(web).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn the_page_works_in_a_browser_over_a_real_pipeline() {
    let (Some(broker), Some(_)) = (kafka::broker().unwrap(), tools()) else { return };
    let Some(stories) = stories() else { return };
    let (topic, directory, site) = (unique_name("page"), tempfile::tempdir().unwrap(), Site::free().unwrap());
    broker.create_topic(&topic, 2).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    train(directory.path());
    let text = CONFIG
        .replace("TOPIC", &topic)
        .replace("BROKERS", broker.brokers())
        .replace("ADDRESS", &site.address())
        .replace("DIR", &directory.path().display().to_string());
    std::fs::write(path("fenliu.toml"), text).unwrap();
    let running = binary::start(&["run", "-c", &path("fenliu.toml")]).unwrap();
    site.wait("/ready", PATIENCE, |answer| answer.status == 200).unwrap();
    let send = |stories: &[Value]| {
        let record =
            |story: &Value| NewRecord { value: Some(story.to_string().into_bytes()), ..NewRecord::default() };
        broker.produce(&topic, &stories.iter().map(record).collect::<Vec<_>>()).unwrap();
    };
    send(&stories);
    site.wait("/api/v1/documents", PATIENCE, |answer| answer.json()["total"] == stories.len()).unwrap();
    // Some come while the page is open: the checks wait for new stories.
    let (passed, text) = std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            for story in stories.iter().cycle() {
                if stopped.recv_timeout(std::time::Duration::from_millis(300)).is_ok() {
                    return;
                }
                send(std::slice::from_ref(story));
            }
        });
        let url = format!("http://{}", site.address());
        let outcome = node(&["suite.mjs", "--url", &url]);
        // The other thread has ended only if sending failed, which it reports.
        let _ = stop.send(());
        outcome
    });
    println!("{text}");
    assert!(passed, "{text}");
    stop(running);
}

/// A small model with the labels of both sources, trained on other rows of them.
fn train(directory: &Path) {
    let headlines = fenliu_tests::data::shared(HEADLINES).unwrap();
    let text = std::fs::read_to_string(headlines).unwrap();
    let chinese = directory.join("chinese.jsonl");
    std::fs::write(&chinese, text.lines().skip(STORIES).take(TRAINED).collect::<Vec<_>>().join("\n"))
        .unwrap();
    let english = rows(directory, "train", TRAINED);
    let (models, data) =
        (directory.join("models"), [chinese, english].map(|path| path.display().to_string()));
    let args =
        ["train", "--name", "news", "--preset", "linear", "--out", models.to_str().unwrap(), "-q", "--data"];
    run(&[&args[..], &[data[0].as_str(), data[1].as_str()]].concat());
}
