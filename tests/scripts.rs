//! The set-up scripts give what they promise, and say what is missing where they cannot.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use fenliu_tests::{binary, data, readers, scripts};
use serde_json::Value;

#[test]
fn reuters_has_the_published_split_and_the_fields_of_a_document() {
    let directory = data::reuters().unwrap();
    let mut ids = BTreeSet::new();
    for (file, rows) in [("train.jsonl", 5_485), ("test.jsonl", 2_189)] {
        let lines = fs::read_to_string(directory.join(file)).unwrap();
        let documents: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(documents.len(), rows, "{file}");

        let labels: BTreeSet<&str> = documents.iter().filter_map(|d| d["label"].as_str()).collect();
        let expected = ["acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"];
        assert_eq!(labels, BTreeSet::from(expected), "{file}");
        for document in &documents {
            assert_eq!((&document["lang"], &document["source"]), (&"en".into(), &"reuters".into()));
            assert!(!document["body"].as_str().unwrap().is_empty(), "{document}");
            ids.insert(document["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ids.len(), 5_485 + 2_189, "an id stands twice");
}

#[test]
fn the_onnx_runtime_library_loads_and_is_fetched_once() {
    let library = scripts::run("deploy/scripts/onnxruntime.sh", &[]).unwrap();
    let written = library.metadata().unwrap().modified().unwrap();
    let loaded = readers::python(
        "import ctypes, sys; print(int(hasattr(ctypes.CDLL(sys.argv[1]), 'OrtGetApiBase')))",
        &[library.to_str().unwrap()],
    );
    assert_eq!(loaded.unwrap(), 1);

    assert_eq!(scripts::run("deploy/scripts/onnxruntime.sh", &[]).unwrap(), library);
    assert_eq!(library.metadata().unwrap().modified().unwrap(), written);
}

#[test]
fn a_script_that_cannot_work_says_what_to_install_and_leaves_nothing() {
    let tools = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    for tool in ["uname", "dirname", "sed"] {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
        let path = String::from_utf8(found.unwrap().stdout).unwrap();
        std::os::unix::fs::symlink(path.trim(), tools.path().join(tool)).unwrap();
    }
    for (script, missing) in [
        ("deploy/scripts/onnxruntime.sh", "python3-pip"),
        ("deploy/scripts/reuters.sh", "python3-pip"),
        ("tests/kafka/fetch.sh", "maven"),
    ] {
        let output = Command::new("/bin/sh")
            .arg(scripts::repository().join(script))
            .env("PATH", tools.path())
            .env("XDG_CACHE_HOME", cache.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(missing), "{script}: {stderr}");
        assert_eq!(output.stdout, b"", "{script}");
    }
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn an_unknown_corpus_is_refused_by_name() {
    let error = scripts::run("deploy/scripts/reuters.sh", &["reuters-r9"]).unwrap_err().to_string();
    assert!(error.contains("reuters-r9") && error.contains("reuters-r52"), "{error}");
}

#[test]
fn what_is_installed_below_a_prefix_is_removed_again() {
    let directory = tempfile::tempdir().unwrap();
    let prefix = directory.path().join("usr");
    let install = |binary: &str| {
        let script = scripts::repository().join("deploy/scripts/install.sh");
        let output = Command::new("sh").arg(script).arg(binary).arg(&prefix).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    install(binary::path().unwrap().to_str().unwrap());
    let installed = [
        "bin/fenliu",
        "share/bash-completion/completions/fenliu",
        "share/zsh/site-functions/_fenliu",
        "share/fish/vendor_completions.d/fenliu.fish",
        "share/man/man1/fenliu.1",
        "share/man/man1/fenliu-run.1",
    ];
    for file in installed {
        assert!(fs::metadata(prefix.join(file)).unwrap().len() > 0, "{file}");
    }
    install("--remove");
    assert!(installed.iter().all(|file| !prefix.join(file).exists()));
}

#[test]
fn the_sentences_of_the_demo_come_with_their_licence_and_a_split_without_leaks() {
    let directory = scripts::run("deploy/scripts/sentences.sh", &[]).unwrap();
    let numbers = |file: &str| -> BTreeSet<String> {
        let lines = fs::read_to_string(directory.join(file)).unwrap();
        let row =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        // The last part of an id is the number of the sentence, the same in all languages.
        lines.lines().map(|line| row(line).rsplit('-').next().unwrap().to_owned()).collect()
    };
    let (train, test) = (numbers("train.jsonl"), numbers("test.jsonl"));
    assert_eq!((train.len(), test.len()), (701, 99));
    assert!(train.is_disjoint(&test));
    assert!(fs::read_to_string(directory.join("README.md")).unwrap().contains("CC BY-SA 4.0"));
}
