//! `fenliu demo`: shows the whole pipeline on real news. It needs neither a Kafka cluster nor a model.
//!
//! The demo trains a model on the training articles of Reuters R8, streams the test articles, which the model has not
//! seen, through an embedded broker, and compares the labels with those of the editors.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use fenliu_connectors::Shutdown;
use fenliu_connectors::files::FilesSinkConfig;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_connectors::kafka::KafkaSourceConfig;
use fenliu_connectors::kafka::{EmbeddedBroker, MessageWriter, NewMessage, client_config};
use serde_json::{Value, json};

use super::common::{Common, shutdown_on_signals};
use super::output;
use super::train::{self, Recipe};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::Counters;
use crate::run::{RunOptions, run};
use crate::summary::Summary;

const TOPIC: &str = "news";
const PARTITIONS: i32 = 4;
const NAME: &str = "reuters-r8";

/// A file that marks a directory as written by a demo, so that the next demo may overwrite it.
const MARKER: &str = ".fenliu-demo";

/// How many messages the producer may be ahead of the pipeline. The embedded broker deletes old messages when a partition
/// reaches 5 MB, so messages that are produced too early would be lost.
const MESSAGES_AHEAD: u64 = 2000;

/// Invalid messages that are sent on purpose, to show that they become dead letters.
const BROKEN: [&[u8]; 3] =
    [b"{\"body\": \"cut off in the mid", b"{\"body\": \"not UTF-8: \xff\xfe\"}", b"{\"body\": \" \"}"];

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Directory with train.jsonl and test.jsonl; `make demo` fetches Reuters R8
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Directory for the model and the labelled rows
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
}

pub(super) fn demo(args: &DemoArgs, common: &Common) -> Result<()> {
    let data = args.data.clone().unwrap_or_else(default_data);
    let (train_file, test_file) = (data.join("train.jsonl"), data.join("test.jsonl"));
    for file in [&train_file, &test_file] {
        if !file.is_file() {
            let message =
                format!("{} is missing: `make setup` fetches it, or name a --data directory", file.display());
            return Err(Error::usage(message));
        }
    }
    let mut config = config(common.load()?, &args.out)?;

    output::note(format!("\n1/3  training a classifier on {}", train_file.display()));
    let recipe = Recipe::new(NAME, args.out.join("models"), vec![train_file]);
    let trained = train::fit(&recipe, &config)?;
    output::note(format!("     {}", trained.line()));

    let messages = messages(&test_file)?;
    let broker = EmbeddedBroker::start(&[TOPIC.to_string()], PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    output::note(format!(
        "\n2/3  streaming {} unseen articles and {} broken messages through a broker at {}",
        messages.len() - BROKEN.len(),
        BROKEN.len(),
        config.kafka.brokers
    ));
    let summary = stream(config.clone(), messages)?;
    // The written configuration is for the user's own broker. It gets another pipeline name, because the sinks store
    // their positions under the name, and those of the demo have no meaning there.
    config.kafka.brokers = "localhost:9092".into();
    config.name = "fenliu".into();
    let config_file = args.out.join("fenliu.toml");
    std::fs::write(&config_file, config.to_redacted_toml()).map_err(Error::file("write", &config_file))?;
    if common.json {
        return output::json(&summary);
    }
    output::note("\n3/3  done");
    output::line(report(&summary, args, &test_file)?)
}

fn default_data() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or(home).unwrap_or_default().join("fenliu/data/reuters-r8")
}

/// The configuration of the demo. Rows of an earlier demo are deleted.
///
/// # Errors
/// `out` contains files but was not written by a demo, so that no files of the user are overwritten.
fn config(mut config: Config, out: &Path) -> Result<Config> {
    let marker = out.join(MARKER);
    let is_used = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if is_used && !marker.exists() {
        let message = format!("{} is not empty and not from a demo: name another --out", out.display());
        return Err(Error::usage(message));
    }
    std::fs::create_dir_all(out).map_err(Error::file("create directory", out))?;
    std::fs::write(&marker, "").map_err(Error::file("write", &marker))?;
    let files = |name: &str| -> Result<FilesSinkConfig> {
        let path = out.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", &path)(error))
            }
            _ => Ok(FilesSinkConfig { path, ..FilesSinkConfig::default() }),
        }
    };
    config.name = "fenliu-demo".into();
    config.source = KafkaSourceConfig { topics: vec![TOPIC.into()], ..KafkaSourceConfig::default() }.into();
    config.model.bundle = out.join("models").join(NAME);
    config.output.body = true;
    config.sinks = vec![files("labelled")?.into()];
    config.dead_letters = files("dead-letters")?.into();
    Ok(config)
}

/// The test articles, with the invalid messages distributed among them.
fn messages(test_file: &Path) -> Result<Vec<Vec<u8>>> {
    let mut messages = Documents::open(test_file)?.map(|row| Ok(row?.1)).collect::<Result<Vec<_>>>()?;
    for (index, broken) in BROKEN.iter().enumerate() {
        messages.insert(messages.len() * (index + 1) / (BROKEN.len() + 1), broken.to_vec());
    }
    Ok(messages)
}

/// Runs a producer and the pipeline at the same time until every message has been processed.
fn stream(config: Config, messages: Vec<Vec<u8>>) -> Result<Summary> {
    let shutdown = shutdown_on_signals()?;
    let expected = messages.len() as u64;
    let options = RunOptions { expected: Some(expected), ..RunOptions::default() };
    let writer = MessageWriter::try_new(client_config(&config.kafka, &Default::default()))?;
    let counters = options.counters.clone();
    let stop = shutdown.clone();
    let producer = std::thread::spawn(move || {
        let sent = send(&writer, &messages, &counters, &stop);
        while sent.is_ok() && counters.snapshot().documents() < expected && !stop.is_requested() {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.request();
        sent
    });
    let outcome = run(&config.validate("demo")?, options, &shutdown);
    shutdown.request();
    let sent = join(producer);
    outcome.and_then(|summary| sent.map(|()| summary))
}

fn send(writer: &MessageWriter, messages: &[Vec<u8>], counters: &Counters, stop: &Shutdown) -> Result<()> {
    for (sent, message) in (0_u64..).zip(messages) {
        while sent > counters.snapshot().documents() + MESSAGES_AHEAD && !stop.is_requested() {
            std::thread::sleep(Duration::from_millis(5));
        }
        writer.send(NewMessage::new(TOPIC, message))?;
    }
    writer.flush()
}

fn join(producer: JoinHandle<Result<()>>) -> Result<()> {
    let panicked = |_| Err(Error::internal("the producer panicked"));
    producer.join().unwrap_or_else(panicked)
}

fn report(summary: &Summary, args: &DemoArgs, test_file: &Path) -> Result<String> {
    let out = args.out.display();
    let binary = std::env::args().next().unwrap_or_else(|| "fenliu".into());
    Ok(format!(
        "\n\
         {}\n\
         {summary}\n\n\
         \x20 labelled rows {out}/labelled/*.parquet\n\
         \x20 dead letters  {out}/dead-letters/*.parquet\n\
         \x20 model         {out}/models/{NAME}\n\
         \x20 configuration {out}/fenliu.toml\n\n\
         Try next:\n\
         \x20 {binary} predict --model {out}/models/{NAME} \"oil prices rose after opec ministers met in vienna\"\n\
         \x20 {binary} evaluate --model {out}/models/{NAME} --data {}\n\
         \x20 {binary} run -c {out}/fenliu.toml --set kafka.brokers=YOUR_BROKER:9092 --set source.topics='[\"YOUR_TOPIC\"]'\n\
         ",
        samples(&args.out.join("labelled"))?,
        test_file.display(),
    ))
}

/// The first few labelled rows, as lines of text.
fn samples(labelled: &Path) -> Result<String> {
    let mut lines = vec![];
    if let Some(file) = data_files(&[labelled.to_path_buf()])?.first() {
        for row in Documents::open(file)?.take(5) {
            let row: Value = serde_json::from_slice(&row?.1).unwrap_or_else(|_| json!({}));
            let text: String = row["body"].as_str().unwrap_or_default().chars().take(60).collect();
            let label = row["label"].as_str().unwrap_or_default();
            lines.push(format!("  {label:9} {:.2}  {text}...", row["score"].as_f64().unwrap_or_default()));
        }
    }
    Ok(lines.join("\n"))
}
