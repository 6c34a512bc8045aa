//! The workspace keeps its shape: which crate knows which, and one version of Arrow in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use fenliu_tests::scripts::repository;
use serde_json::Value;

/// What `cargo metadata` says, asked once.
fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .current_dir(repository())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Names of the crates that each member depends on in any way, `dev-dependencies` included.
fn dependencies() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let metadata = metadata();
    let members = metadata["workspace_members"].as_array().unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (text(package, "name"), dependencies.iter().map(|d| text(d, "name")).collect())
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed = BTreeMap::from([
        ("fenliu-schemas", vec![]),
        ("fenliu-text", vec![]),
        ("fenliu-skip", vec![]),
        ("fenliu-engine", vec!["fenliu-schemas"]),
        ("fenliu-config", vec!["fenliu-engine"]),
        ("fenliu-decode", vec!["fenliu-config", "fenliu-engine", "fenliu-schemas", "fenliu-text"]),
        ("fenliu-operators", vec!["fenliu-schemas", "fenliu-text"]),
        (
            "fenliu-connectors",
            vec!["fenliu-config", "fenliu-decode", "fenliu-engine", "fenliu-operators", "fenliu-schemas"],
        ),
        ("fenliu-model", vec!["fenliu-text"]),
        ("fenliu-training", vec!["fenliu-model"]),
        (
            "fenliu",
            vec![
                "fenliu-config",
                "fenliu-connectors",
                "fenliu-decode",
                "fenliu-engine",
                "fenliu-model",
                "fenliu-operators",
                "fenliu-schemas",
                "fenliu-text",
                "fenliu-training",
            ],
        ),
        // They know the binary, not the libraries.
        ("fenliu-tests", vec![]),
    ]);
    // Tests of every crate may use `fenliu-skip`, which depends on nothing.
    let of_workspace = |name: &&str| name.starts_with("fenliu") && *name != "fenliu-skip";
    let found: BTreeMap<_, Vec<_>> = dependencies()
        .into_iter()
        .map(|(name, all)| (name, all.into_iter().filter(of_workspace).collect()))
        .collect();
    assert_eq!(found, allowed);
}

#[test]
fn each_crate_keeps_to_its_trade() {
    let dependencies = dependencies();
    for (name, strangers) in [
        ("fenliu-schemas", ["rdkafka", "datafusion", "ort", "tokio"]),
        ("fenliu-engine", ["rdkafka", "tokio", "object_store", "datafusion-expr"]),
        ("fenliu-decode", ["rdkafka", "datafusion-expr", "object_store", "ort"]),
        ("fenliu-text", ["arrow", "datafusion-expr", "rdkafka", "tokio"]),
        // The umbrella crate would bring data sources and execution plans.
        ("fenliu-operators", ["rdkafka", "ort", "candle-core", "datafusion"]),
        ("fenliu-model", ["rdkafka", "datafusion-expr", "tokio", "candle-core"]),
        ("fenliu-training", ["rdkafka", "datafusion-expr", "tokio", "ort"]),
        ("fenliu-engine", ["rdkafka", "datafusion-expr", "tokio", "object_store"]),
        ("fenliu-config", ["rdkafka", "datafusion-expr", "tokio", "deltalake"]),
        ("fenliu-decode", ["rdkafka", "datafusion-expr", "tokio", "object_store"]),
        ("fenliu-connectors", ["ort", "clap", "tokenizers", "candle-core"]),
        ("fenliu", ["ort", "candle-core", "tokenizers", "jieba-rs"]),
    ] {
        for stranger in strangers {
            assert!(!dependencies[name].contains(stranger), "{name} depends on {stranger}");
        }
    }
}

#[test]
fn one_version_of_arrow_is_in_the_tree() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = text(package, "name");
        if ["arrow", "parquet", "datafusion"]
            .iter()
            .any(|family| name == *family || name.starts_with(&format!("{family}-")))
        {
            versions.entry(name).or_default().insert(text(package, "version"));
        }
    }
    assert!(versions.contains_key("arrow") && versions.contains_key("datafusion"));
    let doubled: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}
