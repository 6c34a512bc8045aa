//! A fine-tuning job that is killed in the middle of training, and taken up later.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::documents::story;
use super::make::wait_until;
use super::place::Place;

/// Epochs of the job, and after how many of them it is killed.
const EPOCHS: usize = 40;
const KILLED_AFTER: usize = 5;

/// Gates that a busy machine or so few rows would fail are wide open.
const CONFIG: &str = r#"
[model]
bundle = "models/headlines"

[finetune]
data = ["headlines.jsonl"]
select = "split=train"
test = ["headlines.jsonl"]
test_select = "split=valid"
epochs = EPOCHS
niceness = 0

[finetune.feedback]
paths = ["job/corrections.jsonl"]
texts = ["headlines.jsonl"]

[finetune.gates]
macro_f1_loss = 1
slice_loss = 1
ece = 1
speed_share = 0.01
class_rows = 1

[finetune.options]
batch_rows = 16
"#;

/// The command that begins it and takes it up.
pub(super) const FINETUNE: [&str; 3] = ["finetune", "-c", "job/fenliu.toml"];

/// Begins the job and kills it when it has a checkpoint.
pub(super) fn leave_half_done(place: &Place) {
    place.write("job/fenliu.toml", CONFIG.replace("EPOCHS", &EPOCHS.to_string()));
    let by_id = |n: usize| json!({ "id": format!("story-{n}"), "label": story(n)["label"], "by": "desk" });
    let by_text = |n: usize| json!({ "text": story(n)["text"], "label": story(n)["label"], "by": "desk" });
    let lines = (0..12).map(|n| if n < 9 { by_id(n) } else { by_text(200 + n) }.to_string() + "\n");
    place.write("job/corrections.jsonl", lines.collect::<String>());
    let running = place.start(&FINETUNE);
    wait_until("there is a checkpoint", || epochs(place).is_some_and(|epochs| epochs.len() >= KILLED_AFTER));
    running.signal("KILL").unwrap();
    drop(running);
    assert!(epochs(place).unwrap().len() < EPOCHS, "killed too late");
    assert_eq!(state(place)["stage"], "train");
}

/// The directory of the only job.
pub(super) fn directory(place: &Place) -> Option<PathBuf> {
    let mut jobs = fs::read_dir(place.path("models/headlines/jobs")).ok()?.map(|entry| entry.unwrap().path());
    let only = jobs.next()?;
    assert!(jobs.next().is_none(), "there is more than one job");
    Some(only)
}

/// The state of the only job.
pub(super) fn state(place: &Place) -> Value {
    let file = directory(place).unwrap().join("state.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// The reports of the epochs that are in the job's checkpoint; none where there is no checkpoint.
pub(super) fn epochs(place: &Place) -> Option<Vec<Value>> {
    let bytes = fs::read(directory(place)?.join("work/checkpoint.safetensors")).ok()?;
    let length = u64::from_le_bytes(*bytes.first_chunk()?) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let header: Value = serde_json::from_str(header["__metadata__"]["fenliu"].as_str().unwrap()).unwrap();
    Some(header["progress"]["epochs"].as_array().unwrap().clone())
}
