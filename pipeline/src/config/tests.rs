//! Configurations as users write them, and the problems that are reported for invalid ones.

use std::path::PathBuf;

use fenliu_config::Problems;
use fenliu_schemas::{KAFKA_HEADERS, KAFKA_KEY};

use super::*;

/// The problems of the configuration `text`; empty if it is valid.
fn problems(text: &str) -> String {
    let config = Config::parse(text, "test.toml", &[], &|_| None).unwrap();
    config.validate("test.toml").err().map_or_else(String::new, |problems| problems.to_string())
}

#[test]
fn the_commented_default_file_agrees_with_the_defaults_in_the_code() {
    let text = include_str!("../../../deploy/config/default.toml");
    let read =
        Config::parse(text, "default.toml", &[], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(read, Config::default());
    for line in read.to_redacted_toml().lines().filter(|line| !line.starts_with('[')) {
        let key = line.split(" = ").next().unwrap_or_default().trim_matches([' ', ']', ',']);
        assert!(text.contains(key), "{key} is not in deploy/config/default.toml");
    }
}

#[test]
fn keys_and_headers_are_collected_only_if_something_uses_them() {
    let uses = |text: &str| {
        let plan = Config::parse(text, "t", &[], &|_| None).unwrap().validate("t");
        let plan = plan.unwrap_or_else(|problems| panic!("{text}: {problems}"));
        (plan.uses(KAFKA_KEY), plan.uses(KAFKA_HEADERS))
    };
    assert_eq!(uses(""), (true, true), "dead letters have both");
    let bare = "[dead_letters]\ntype='files'\npath='dead'\ncolumns=['topic', 'payload']\n";
    let sink = |lines: &str| format!("{bare}[[sinks]]\ntype='kafka'\ntopic='t'\n{lines}");
    let cases = [
        (bare.to_string(), (false, false)),
        (format!("{bare}[output]\nkafka_key=true"), (true, false)),
        (format!("{bare}[output]\nkafka_headers=true"), (false, true)),
        (
            format!("{bare}[clean]\nsteps=[{{column='n', sql=\"array_length(kafka_headers)\"}}]"),
            (false, true),
        ),
        (format!("{bare}[clean]\nsteps=[{{reject='no_key', when='kafka_key IS NULL'}}]"), (true, false)),
        (sink(""), (false, false)),
        (sink("columns=['kafka_key']"), (true, false)),
        (sink("where='kafka_headers IS NULL'"), (false, true)),
        (sink("key='source'"), (true, false)),
        (sink("headers=true"), (false, true)),
        (sink("key='lineage'"), (false, false)),
        (sink("key={sql=\"coalesce(encode(kafka_key, 'hex'), id)\"}"), (true, false)),
    ];
    for (text, expected) in cases {
        assert_eq!(uses(&text), expected, "{text}");
    }
}

#[test]
fn an_invalid_kafka_key_is_named() {
    let sink = |key: &str| format!("[[sinks]]\ntype='kafka'\ntopic='t'\nkey={key}");
    for (key, parts) in [
        ("{sql=' '}", ["sinks[0].key.sql", "empty"]),
        ("{sql='nowhere'}", ["key.sql", "nowhere"]),
        ("{sql='partition + 1'}", ["key.sql", "text or binary"]),
        ("{sql='max(id)'}", ["key.sql", "aggregate"]),
    ] {
        let problems = problems(&sink(key));
        assert!(parts.iter().all(|part| problems.contains(part)), "{key}: {problems}");
    }
    let unknown = Config::parse(&sink("'ids'"), "t", &[], &|_| None).unwrap_err().to_string();
    assert!(unknown.contains("ids") && unknown.contains("lineage"), "{unknown}");
}

#[test]
fn schemas_must_come_from_one_place_and_be_used_by_the_format() {
    let cases: [(&[&str], &str); 10] = [
        (&["format='avro'"], "one of `schema` and `registry.url`"),
        (
            &["format='avro'", "schema='a.avsc'", "registry.url='http://x'"],
            "one of `schema` and `registry.url`",
        ),
        (&["format='json'", "schema='a.avsc'"], "only the formats `avro` and `protobuf` use"),
        (&["format='protobuf'", "schema='a.proto'"], "`documents.message` is needed with a `.proto` file"),
        (&["format='avro'", "registry.url='http://x'", "message='M'"], "`documents.message` is needed"),
        (&["format='avro'", "schema='nowhere.avsc'"], "nowhere.avsc"),
        (&["format='avro'", "registry.url='registry:8081'"], "must begin with http:// or https://"),
        (&["format='avro'", "registry.url='http://u:p@x'"], "holds a user"),
        (
            &["format='avro'", "registry.url='http://x'", "registry.password='p'"],
            "`documents.registry.username` is empty",
        ),
        (&["format='avro'", "registry.url='http://x'", "registry.timeout='1h'"], "100ms to 60s"),
    ];
    for (lines, problem) in cases {
        let text = format!("[documents]\n{}", lines.join("\n"));
        let config = Config::parse(&text, "t", &[], &|_| None).unwrap();
        let problems = config.validate("t").unwrap_err().to_string();
        assert!(problems.contains(problem), "{lines:?}: {problems}");
    }
}

#[test]
fn every_value_out_of_bounds_is_named() {
    let text = r#"
        name = ""
        [kafka.properties]
        "group.id" = "x"
        [source]
        type = "kafka"
        topics = ["news"]
        [documents]
        format = "bytes"
        max_bytes = 0
        strict = ["title", "day:unreadable"]
        [clean]
        steps = ["strip_hmtl", { column = "offset", sql = "1" }, { reject = "x", when = "nope = 1" }]
        [model]
        top_k = 0
        max_batch_tokens = 0
        [finetune]
        dev_share = 0.9
        epochs = 0
        niceness = 20
        schedule = "every night"
        min_new_labels = 5
        data = ["nowhere.jsonl"]
        [breaker]
        share = 5
        rows = 2000000
        [limits]
        batch_rows = 0
        memory = "10 MiB"
        [epoch]
        max_bytes = "6 MiB"
        max_age = "0s"
        [[sinks]]
        type = "kafka"
        topic = "news"
        [[sinks]]
        type = "stdout"
        where = "scor > 1"
    "#;
    let config = Config::parse(text, "t", &[], &|_| None).unwrap();
    let problems = config.validate("t").unwrap_err();
    let text = problems.to_string();
    for part in [
        "`name`",
        "group.id",
        "documents.max_bytes",
        "`documents.strict` is day:unreadable but must be",
        "decode_bytes",
        "strip_hmtl",
        "offset",
        "nope",
        "`model.bundle`",
        "`model.top_k` is 0 but must be 1 to 1000",
        "model.max_batch_tokens",
        "`finetune.dev_share` is 0.9 but must be 0.01 to 0.5",
        "finetune.epochs",
        "finetune.niceness",
        "`finetune.schedule` is `every night`, which is not a valid cron expression",
        "finetune.min_new_labels",
        "nowhere.jsonl",
        "`breaker.share` is 5 but must be 0 to 1",
        "`breaker.rows` is 2000000 but must be at most 1000000",
        "limits.batch_rows",
        "epoch.max_bytes",
        "5.0 MiB",
        "epoch.max_age",
        "endless loop",
    ] {
        assert!(text.contains(part), "`{part}` not in {text}");
    }
}

fn parse(text: &str, overrides: &[&str]) -> Result<Config, Problems> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let variable = |name: &str| (name == "KAFKA_PASSWORD").then(|| "hunter2".to_string());
    Config::parse(text, "test.toml", &overrides, &variable)
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = r#"
        nmae = "x"
        [kafka]
        brokers = 5
        [source]
        type = "kafka"
        topics = "news"
        gruop = "g"
        [model]
        top_k = "three"
        [limits]
        memory = "lots"
        batch_linger = "20"
        [[sinks]]
        type = "files"
        path = "out"
        format = "orc"
    "#;
    let problems = parse(text, &[]).unwrap_err();
    let keys: Vec<&str> = problems.problems.iter().map(|p| p.key.as_str()).collect();
    for key in [
        "nmae",
        "kafka.brokers",
        "source.topics",
        "source.gruop",
        "model.top_k",
        "limits.memory",
        "limits.batch_linger",
        "sinks[0].format",
    ] {
        assert!(keys.contains(&key), "{key} not in {problems}");
    }
    assert_eq!(keys.len(), 8, "{problems}");
    assert!(problems.to_string().contains("\"three\""), "{problems}");
    assert!(problems.to_string().contains("orc"), "{problems}");
}

#[test]
fn an_unknown_type_is_named() {
    let problems = parse("[source]\ntype = \"kafkaa\"", &[]).unwrap_err();
    assert!(problems.to_string().contains("kafkaa"), "{problems}");
    assert!(problems.problems[0].key.starts_with("source"), "{problems}");
}

#[test]
fn overrides_and_variables_apply() {
    let text = "[kafka.properties]\n\"sasl.password\" = \"${KAFKA_PASSWORD}\"\n[[sinks]]\ntype = \"stdout\"";
    let overrides = [
        "kafka.brokers=a:1",
        "kafka.properties.\"linger.ms\"=5",
        "dead_letters.path=dead",
        "model.top_k=7",
        "sinks.0.columns=[\"id\"]",
    ];
    let config = parse(text, &overrides).unwrap();
    assert_eq!(config.kafka.brokers, "a:1");
    assert_eq!(config.model.top_k, 7);
    assert_eq!(config.kafka.properties["sasl.password"], "hunter2");
    assert_eq!(config.kafka.properties["linger.ms"], "5");
    assert!(matches!(&config.sinks[0], SinkConfig::Stdout(sink) if sink.columns == ["id"]));
    let printed = config.to_redacted_toml();
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("max_batch_tokens = 4096"), "{printed}");
}

#[test]
fn secrets_among_the_properties_of_a_catalog_are_not_printed() {
    let text = "[[sinks]]\ntype = \"iceberg\"\n[sinks.catalog.properties]\n\"header.X-Api-Key\" = \"s3cret\"\n\
                credential = \"id:s3cret\"\nscope = \"catalog\"";
    let printed = parse(text, &[]).unwrap().to_redacted_toml();
    assert!(!printed.contains("s3cret") && printed.contains("scope = \"catalog\""), "{printed}");
}

#[test]
fn the_former_name_of_the_canary_period_is_read() {
    let old = parse("[model.bake]\nrows = 7\nmax_age = '1m'", &["model.bake.rows=8"]).unwrap();
    let new = parse("[model.canary]\nrows = 8\nmax_age = '1m'", &[]).unwrap();
    assert_eq!((old.model.canary.rows, &old), (8, &new));
}

#[test]
fn an_unset_variable_is_named() {
    let problems = parse("name = \"${NOPE}\"", &[]).unwrap_err();
    assert_eq!(problems.problems[0].key, "name");
    assert!(problems.to_string().contains("NOPE"));
}

#[test]
fn a_printed_configuration_can_be_read_back() {
    let config = Config::default();
    assert_eq!(parse(&config.to_redacted_toml(), &[]).unwrap(), config);
}

#[test]
fn two_outputs_in_one_directory_are_refused_for_every_spelling_of_its_path() {
    let here = std::env::current_dir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("real")).unwrap();
    let [real, link] = ["real", "link"].map(|name| elsewhere.path().join(name));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    for (first, second) in [
        ("o3", "./o3"),
        ("o3/", "o3"),
        ("o3", "none/../o3"),
        ("o3", &*text(here.join("o3"))),
        (&*text(real.join("o3")), &*text(link.join("o3"))),
    ] {
        let found = problems(&format!(
            "[[sinks]]\ntype = \"files\"\npath = {first:?}\n[dead_letters]\npath = {second:?}"
        ));
        assert!(found.contains("`dead_letters.path`") && found.contains("`sinks[0].path`"), "{found}");
    }
    let found = problems("[[sinks]]\ntype = \"files\"\npath = \"o3\"\n[dead_letters]\npath = \"o3/dead\"");
    assert!(found.contains("lies in the directory of `sinks[0].path`"), "{found}");
    let shadow = "[shadow]\nshare = 0.5\npath = \"o3\"\n[[sinks]]\ntype = \"files\"\npath = \"o3\"";
    assert!(problems(shadow).contains("`shadow.path` is o3"), "{}", problems(shadow));
    assert_eq!(problems("[[sinks]]\ntype = \"files\"\npath = \"o3\"\n[dead_letters]\npath = \"o33\""), "");
}

#[test]
fn an_output_topic_that_matches_a_pattern_of_the_source_is_refused() {
    let found = problems(
        "[source]\ntopics = [\"^news.*\"]\n[[sinks]]\ntype = \"kafka\"\ntopic = \"news-labelled\"\n\
         [dead_letters]\ntype = \"kafka\"\ntopic = \"news-dead\"\n[finetune.feedback]\ntopic = \"newsroom\"",
    );
    for key in ["`sinks[0].topic`", "`dead_letters.topic`", "`finetune.feedback.topic`"] {
        assert!(found.contains(key) && found.contains("`^news.*`"), "{key}: {found}");
    }
}

#[test]
fn topics_in_one_transaction_must_have_the_same_producer_settings() {
    let topic = |kind: &str, topic: &str, level: u8| {
        format!(
            "{kind}\ntype = \"kafka\"\ntopic = \"{topic}\"\nproperties = {{ \"compression.level\" = {level} }}\n"
        )
    };
    let text = topic("[[sinks]]", "a", 1) + &topic("[[sinks]]", "b", 1) + &topic("[dead_letters]", "c", 2);
    let found = problems(&text);
    assert!(
        found.contains("`dead_letters.properties.\"compression.level\"` differs from that of `sinks[0]`"),
        "{found}"
    );
    assert_eq!(problems(&(text + "[epoch]\ndelivery = \"at-least-once\"")), "");
}

#[test]
fn a_topic_of_the_same_name_on_another_cluster_is_a_different_topic() {
    let text = "[source]\ntopics = [\"news\"]\n[[sinks]]\ntype = \"kafka\"\ntopic = \"news\"\nbrokers = \"other:9092\"";
    assert_eq!(problems(text), "");
}

#[test]
fn a_pattern_that_cannot_be_compared_with_outputs_is_refused() {
    let found = problems("[source]\ntopics = ['^(a)\\1']");
    assert!(found.contains("cannot be compared with the outputs"), "{found}");
}

#[test]
fn dead_letters_must_have_a_topic_of_their_own() {
    let found = problems(
        "[[sinks]]\ntype = \"kafka\"\ntopic = \"out\"\n[dead_letters]\ntype = \"kafka\"\ntopic = \"out\"",
    );
    assert!(found.contains("`dead_letters.topic` is `out`, the topic of `sinks[0].topic`"), "{found}");
}

#[test]
fn a_pipeline_needs_no_model() {
    assert_eq!(problems(""), "");
    assert_eq!(
        problems("[[sinks]]\ntype = 'stdout'\ncolumns = ['id', 'source_label']\nwhere = \"lang = 'zh'\""),
        ""
    );
}

#[test]
fn disagreements_cannot_be_written_to_a_bucket() {
    let found = problems("[model]\nbundle = 'models/news'\n[shadow]\npath = 's3://news/shadow'");
    assert!(found.contains("is s3://news/shadow but must be a directory on a disk"), "{found}");
}

#[test]
fn settings_that_need_a_model_are_refused_without_one() {
    let sink = |lines: &str| format!("[[sinks]]\ntype = 'files'\n{lines}");
    let no_columns = "`model` is not set";
    let cases = [
        ("[model]\ntop_k = 5".to_string(), "`model.bundle` is empty"),
        ("[model]\nonnxruntime = 'lib.so'".to_string(), "`model.bundle` is empty"),
        ("[shadow]\nshare = 0.1".to_string(), "`shadow` is set, but there is no `[model]`"),
        ("[thresholds]\nby = 'topic'".to_string(), "`thresholds` is set, but there is no `[model]`"),
        ("[drift]\non = 0.5".to_string(), "`drift` is set, but there is no `[model]`"),
        ("[finetune]\non_drift = true".to_string(), "`finetune` is scheduled, but there is no `[model]`"),
        (sink("columns = ['id', 'label']"), no_columns),
        (sink("columns = ['score > 0.5 AS sure']"), no_columns),
        (sink("where = 'abstained'"), no_columns),
        (sink("partition_by = ['label']"), no_columns),
    ];
    for (text, expected) in cases {
        let found = problems(&text);
        assert!(found.contains(expected), "{text}: {found}");
    }
    let misspelt = problems(&sink("columns = ['idd']"));
    assert!(misspelt.contains("idd") && !misspelt.contains("model`"), "{misspelt}");
}

#[test]
fn the_source_of_a_threshold_is_a_text_column_of_cleaned_rows() {
    let with = |by: &str| problems(&format!("[model]\nbundle = 'models/news'\n[thresholds]\nby = '{by}'"));
    for by in ["source", "topic", "lang", "none"] {
        assert!(!with(by).contains("thresholds.by"), "{by}: {}", with(by));
    }
    assert!(with("feed").contains("`thresholds.by` is `feed`") && with("feed").contains("no such column"));
    assert!(with("offset").contains("its type is Int64"), "{}", with("offset"));
    for (line, expected) in [
        ("window = 100", "`thresholds.window` is 100 but must be 200 to 1000000"),
        ("target = 0.5", "`thresholds.target` is 0.5 but must be 0.8 to 0.99"),
        ("path = 's3://news/state'", "must be a directory on a disk"),
        ("file = 'nowhere.json'", "names nowhere.json, which is not a file"),
    ] {
        let found = problems(&format!("[model]\nbundle = 'models/news'\n[thresholds]\n{line}"));
        assert!(found.contains(expected), "{line}: {found}");
    }
    let step = "[clean]\nsteps = [{ column = 'threshold', sql = '1' }]\n";
    assert!(problems(&format!("{step}[output]\nthreshold = true")).contains("`output.threshold` is true"));
    assert_eq!(problems(step), "", "the column is the user's");
}

#[test]
fn a_name_with_dots_but_without_quotes_gets_a_hint() {
    let text = "[kafka.properties]\nsecurity.protocol = \"SASL_SSL\"\n\"linger.ms\" = 5";
    let problems = Config::parse(text, "test.toml", &[], &|_| None).unwrap_err().to_string();
    assert!(problems.contains("write the name in quotes: \"security.protocol\" = ..."), "{problems}");
}
