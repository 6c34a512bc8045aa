//! Commands as a user types them: what they print, and what they say when something is wrong.

use fenliu_tests::files::copy_directory;
use fenliu_tests::{data, scripts};
use serde_json::Value;

use crate::fixtures::{bundle, config, fails, json, rows, run};

const CONFIG: &str = "[model]\nbundle = \"BUNDLE\"\n";

#[test]
fn all_problems_of_a_configuration_are_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let text = "nmae = 'x'\n[model]\nbundle = 'BUNDLE'\ntop_k = 0\n[limits]\nmemory = 'much'\n";
    let stderr = fails(&["check", "-c", &config(directory.path(), text)], 2);
    for part in ["fenliu.toml: 2 problems", "`nmae`", "`limits.memory`", "much"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let text = "[model]\nbundle = 'BUNDLE'\ntop_k = 0\nmax_batch_rows = 0\n[clean]\nsteps = ['nosuch']\n";
    let stderr = fails(&["run", "-c", &config(directory.path(), text)], 2);
    for part in ["3 problems", "`model.top_k` is 0 but must be 1 to 1000", "`model.max_batch_rows`", "nosuch"]
    {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_good_configuration_passes_and_secrets_are_not_printed() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{CONFIG}[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n");
    let file = config(directory.path(), &text);
    assert_eq!(json(&run(&["check", "-c", &file, "--json"]))["ok"], true);
    let printed = run(&["config", "-c", &file]);
    assert!(printed.contains("sasl.password") && !printed.contains("hunter2"), "{printed}");
    let default = run(&["config", "--default"]);
    assert!(default.contains("[[sinks]]") && default.contains("# Most padded tokens"));
}

/// Environment variables that the examples name.
const SECRETS: [&str; 3] = ["${KAFKA_PASSWORD}", "${REGISTRY_PASSWORD}", "${TOKEN}"];

/// What stands between the fences of TOML in a file of the repository, with something in place of every secret.
fn examples(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(scripts::repository().join(name)).unwrap();
    let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| SECRETS.iter().fold(block.to_owned(), |text, name| text.replace(name, "x"))).collect()
}

#[test]
fn the_configuration_in_the_readme_is_good() {
    for readme in ["README.md", "README.zh.md"] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("news.toml");
        // Where it is checked there is no model of that name and no /data.
        let text = examples(readme)[0].replace("models/headlines", bundle().to_str().unwrap());
        std::fs::write(&file, text.replace("/data/", &format!("{}/", directory.path().display()))).unwrap();
        run(&["check", "-c", file.to_str().unwrap()]);
    }
}

#[test]
fn the_other_examples_can_be_added_to_the_configuration_in_the_readme() {
    let first = examples("README.md").remove(0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("news.toml");
    for readme in ["pipeline/README.md", "operators/README.md", "model/README.md"] {
        let others = examples(readme);
        assert!(!others.is_empty(), "{readme}");
        for other in others {
            std::fs::write(&file, format!("{first}\n{other}")).unwrap();
            run(&["config", "-c", file.to_str().unwrap()]);
        }
    }
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("verify") && script.contains("target-size"), "{shell}: {script}");
    }
    let directory = tempfile::tempdir().unwrap();
    run(&["man", "--out", directory.path().to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(page("fenliu.1").trim(), run(&["man"]).trim());
    assert!(page("fenliu.1").contains("Exit codes") && page("fenliu-verify.1").contains("examples"));
}

#[test]
fn other_cleaning_than_the_model_was_trained_with_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = config(directory.path(), CONFIG);
    let stderr = fails(&["check", "-c", &file, "--set", "clean.steps=[\"normalize\"]"], 2);
    assert!(stderr.contains("trained with"), "{stderr}");
}

#[test]
fn a_missing_library_says_where_it_was_looked_for_and_how_to_get_it() {
    let model = bundle().to_str().unwrap();
    let stderr =
        fails(&["predict", "--model", model, "--set", "model.onnxruntime=/no/such/lib.so", "text"], 1);
    assert!(stderr.contains("/no/such/lib.so") && stderr.contains("make onnxruntime"), "{stderr}");
    let stderr = fails(&["doctor", "--set", "model.onnxruntime=/no/such/lib.so"], 1);
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_tampered_bundle_is_refused_by_file_name() {
    let directory = tempfile::tempdir().unwrap();
    let versions = bundle().join("versions");
    let version = std::fs::read_dir(versions).unwrap().next().unwrap().unwrap().path();
    let copy = directory.path().join("copy");
    copy_directory(&version, &copy).unwrap();
    run(&["predict", "--model", copy.to_str().unwrap(), "shares rose"]);

    let labels = copy.join("labels.json");
    let text = std::fs::read_to_string(&labels).unwrap();
    std::fs::write(&labels, text.replace("earn", "nrae")).unwrap();
    let stderr = fails(&["predict", "--model", copy.to_str().unwrap(), "shares rose"], 1);
    assert!(stderr.contains("labels.json"), "{stderr}");
}

#[test]
fn each_text_gets_its_line() {
    let model = bundle().to_str().unwrap();
    let oil = "opec ministers met in vienna to discuss crude oil output and prices per barrel";
    let stdout = run(&["predict", "--model", model, "--top-k", "2", oil, "   "]);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["label"], "crude");
    assert_eq!(lines[0]["top"].as_array().unwrap().len(), 2);
    assert_eq!((&lines[1]["label"], &lines[1]["rejected"]), (&Value::Null, &Value::from("empty_text")));
}

#[test]
fn evaluation_reports_every_class() {
    let directory = tempfile::tempdir().unwrap();
    let file = rows(directory.path(), "test", 600);
    let args = ["evaluate", "--model", bundle().to_str().unwrap(), "--data", file.to_str().unwrap()];
    let report = json(&run(&[&args[..], &["--json"]].concat()));
    assert_eq!(report["rows"], 600);
    assert!(report["accuracy"].as_f64().unwrap() > 0.8, "{report}");
    assert_eq!(report["per_class"].as_array().unwrap().len(), 8);
    for key in ["macro_f1", "ece", "docs_per_s"] {
        assert!(report[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {report}");
    }
    let earn = [&args[..], &["--json", "--select", "label=earn"]].concat();
    assert!(json(&run(&earn))["rows"].as_u64().unwrap() < 600);
    let page = directory.path().join("page.html");
    let table = run(&[&args[..], &["--html", page.to_str().unwrap()]].concat());
    assert!(table.contains("macro-F1") && table.contains("ROC-AUC"), "{table}");
    let page = std::fs::read_to_string(page).unwrap();
    for part in ["<h2>Confusion matrix</h2>", "<h2>Confidence</h2>", "<h2>ROC curves</h2>", "source=reuters"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn labels_that_a_model_does_not_have_count_as_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("labels.jsonl");
    let row = |label: &str| {
        let body = "opec ministers met in vienna to discuss crude oil output and prices per barrel";
        format!(r#"{{"body": "{body}", "label": "{label}"}}"#)
    };
    std::fs::write(&file, [row("crude"), row("oil")].join("\n")).unwrap();
    let args = ["evaluate", "--model", bundle().to_str().unwrap(), "--data", file.to_str().unwrap()];
    let report = json(&run(&[&args[..], &["--json"]].concat()));
    assert_eq!((&report["rows"], &report["accuracy"]), (&Value::from(2), &Value::from(0.5)), "{report}");
    assert_eq!(report["per_class"].as_array().unwrap().len(), 9);

    std::fs::write(&file, row("oil")).unwrap();
    assert!(fails(&args, 1).contains("no document has a label of the model"));
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let directory = tempfile::tempdir().unwrap();
    let train = rows(directory.path(), "train", 300);
    let weights: Vec<String> = ["a", "b"]
        .map(|name| {
            let out = directory.path().join("models");
            let args =
                ["train", "--name", name, "--epochs", "1", "--preset", "tiny", "--seed", "5", "--json"];
            let paths = ["--data", train.to_str().unwrap(), "--out", out.to_str().unwrap()];
            let bundle =
                json(&run(&[&args[..], &paths[..]].concat()))["bundle"].as_str().unwrap().to_string();
            let sums = std::fs::read_to_string(std::path::Path::new(&bundle).join("SHA256SUMS")).unwrap();
            sums.lines().find(|line| line.ends_with("model.safetensors")).unwrap().to_string()
        })
        .to_vec();
    assert_eq!(weights[0], weights[1]);
}

#[test]
fn chinese_headlines_are_learnt_by_both_tokenisations() {
    let Some(file) = data::shared("headlines_zh_thucnews.jsonl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("models");
    let text = std::fs::read_to_string(&file).unwrap();
    let train = directory.path().join("zh.jsonl");
    let chosen: Vec<&str> = text.lines().filter(|line| line.contains("\"train\"")).step_by(6).collect();
    std::fs::write(&train, chosen.join("\n")).unwrap();
    for tokenization in ["words", "subword"] {
        let args = [
            "train",
            "--name",
            tokenization,
            "--tokenization",
            tokenization,
            "--preset",
            "tiny",
            "--epochs",
            "3",
        ];
        run(&[&args[..], &["--data", train.to_str().unwrap(), "--out", out.to_str().unwrap()]].concat());
        let model = out.join(tokenization);
        let args = ["evaluate", "--model", model.to_str().unwrap(), "--data", file.to_str().unwrap()];
        let report = json(&run(&[&args[..], &["--select", "split=valid", "--json"]].concat()));
        let accuracy = report["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.65, "{tokenization}: {accuracy} on {} rows", report["rows"]);
    }
}

#[test]
fn the_demo_runs_from_training_to_labelled_parquet() {
    let directory = tempfile::tempdir().unwrap();
    rows(directory.path(), "train", 800);
    rows(directory.path(), "test", 300);
    let out = directory.path().join("out");
    let args =
        ["demo", "--data", directory.path().to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"];
    let summary = json(&run(&args));
    assert_eq!((&summary["labelled"], &summary["documents"]), (&Value::from(300), &Value::from(303)));
    assert!(summary["accuracy"].as_f64().unwrap() > 0.8, "{summary}");
    run(&["check", "-c", out.join("fenliu.toml").to_str().unwrap()]);
}
