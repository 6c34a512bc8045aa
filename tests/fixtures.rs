//! What several tests start from: real documents, and a small model that the binary trained on them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use fenliu_tests::binary::{self, Finished, Running};
use fenliu_tests::data;
use serde_json::Value;
use tempfile::TempDir;

/// Enough for anything that the binary does here, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Different articles; documents repeat them.
pub(crate) const ARTICLES: usize = 400;

/// The first `count` Reuters R8 test articles, as JSON objects.
pub(crate) fn articles(count: usize) -> Vec<Value> {
    let text = std::fs::read_to_string(data::reuters().unwrap().join("test.jsonl")).unwrap();
    text.lines().take(count).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes the first `count` rows of `split` to a file in `directory`.
pub(crate) fn rows(directory: &Path, split: &str, count: usize) -> PathBuf {
    let text = std::fs::read_to_string(data::reuters().unwrap().join(format!("{split}.jsonl"))).unwrap();
    let path = directory.join(format!("{split}.jsonl"));
    let lines: Vec<&str> = text.lines().take(count).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// A bundle trained once for all tests: the `tiny` preset over words, on 1,500 Reuters articles.
pub(crate) fn bundle() -> &'static Path {
    static BUNDLE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUNDLE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let train = rows(directory.path(), "train", 1500);
        let out = directory.path().join("models");
        let args = ["train", "--preset", "tiny", "--epochs", "4", "--name", "r8", "--data"];
        let mut args: Vec<&str> = args.to_vec();
        args.extend([train.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]);
        let report = json(&run(&args));
        assert!(report["report"]["parity_max_abs_diff"].as_f64().unwrap() <= 1e-4, "{report}");
        (directory, out.join("r8"))
    });
    path
}

/// Runs the binary to a successful end and returns its standard output.
pub(crate) fn run(args: &[&str]) -> String {
    let finished = binary::run(args, PATIENCE).unwrap();
    assert!(finished.status.success(), "{args:?}: {}\n{}", finished.status, finished.stderr);
    finished.stdout
}

/// Runs the binary to an end with `code` and returns its standard error.
pub(crate) fn fails(args: &[&str], code: i32) -> String {
    let finished = binary::run(args, PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(code), "{args:?}:\n{}\n{}", finished.stdout, finished.stderr);
    finished.stderr
}

/// Asks a process to end, and checks that it ends well.
pub(crate) fn stop(running: Running) -> Finished {
    running.signal("TERM").unwrap();
    let finished = running.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    finished
}

/// The last line of standard output, as JSON.
pub(crate) fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// Writes a configuration for the shared bundle into `directory`.
pub(crate) fn config(directory: &Path, text: &str) -> String {
    let path = directory.join("fenliu.toml");
    let bundle = bundle().display();
    std::fs::write(
        &path,
        text.replace("DIR", &directory.display().to_string()).replace("BUNDLE", &bundle.to_string()),
    )
    .unwrap();
    path.display().to_string()
}
