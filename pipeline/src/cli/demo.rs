//! `fenliu demo`: the whole pipeline on real news. It needs neither a Kafka cluster nor a trained model.
//!
//! Trains one classifier on Reuters articles and on Chinese and English sentences, streams the articles and sentences of the
//! test sets, which the model has never seen, through an embedded broker, and compares the labels with those of the
//! editors. The topics of the two sets do not overlap, so the model has the labels of both.

mod report;
mod stream;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use fenliu_connectors::files::{Documents, FilesSinkConfig};
use fenliu_connectors::kafka::{EmbeddedBroker, KafkaSourceConfig};

use super::common::Common;
use super::output;
use super::train::{self, Recipe};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::finetune::JobCommand;

const TOPIC: &str = "news";
const PARTITIONS: i32 = 4;
const NAME: &str = "news";

/// The sets that `make setup` puts into the cache directory.
const SETS: [&str; 2] = ["reuters-r8", "sib200-zh-en"];

/// The file that marks a directory as the output of a demo, so that a later demo may delete rows in it.
const MARKER: &str = ".fenliu-demo";

/// Invalid messages, which are sent on purpose to show that they become dead letters.
const BROKEN: [&[u8]; 3] =
    [b"{\"body\": \"cut off in the mid", b"{\"id\": \"a story without a text\"}", b"{\"body\": \" \"}"];

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Directories with train.jsonl and test.jsonl; `make setup` fetches the default ones, Reuters R8 and SIB-200
    #[arg(long, value_name = "DIR", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Directory for the model and the labelled rows
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
}

impl DemoArgs {
    /// The file `name` of each set.
    fn files(&self, name: &str) -> Result<Vec<PathBuf>> {
        let defaults = || SETS.iter().map(|set| cache().join(set)).collect();
        let sets = if self.data.is_empty() { defaults() } else { self.data.clone() };
        let files: Vec<_> = sets.iter().map(|set| set.join(name)).collect();
        match files.iter().find(|file| !file.is_file()) {
            None => Ok(files),
            Some(missing) => Err(Error::usage(format!(
                "{} is missing: `make setup` fetches it, or name other directories with --data",
                missing.display()
            ))),
        }
    }
}

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or(home).unwrap_or_default().join("fenliu/data")
}

pub(super) fn demo(args: &DemoArgs, common: &Common) -> Result<()> {
    let (train_files, test_files) = (args.files("train.jsonl")?, args.files("test.jsonl")?);
    let mut config = config(common.load()?, &args.out)?;
    let set = hold_out(&train_files, &args.out)?;
    config.finetune.data = vec![set.train.clone()];
    config.finetune.test = vec![set.held_out];
    // On a terminal someone watches: there is a page then, and the stories come at a pace that one can follow.
    let is_watched = std::io::stderr().is_terminal() && !common.json;
    if is_watched && config.http.listen.is_empty() {
        config.http.listen = "127.0.0.1:0".into();
    }

    output::note(format!("\n1/3  training a classifier on {}", listed(&train_files)));
    let recipe = Recipe::new(NAME, args.out.join("models"), vec![set.train]);
    let trained = train::fit(&recipe, &config)?;
    output::note(format!("     {}", trained.line()));

    let messages = messages(&test_files)?;
    let broker = EmbeddedBroker::start(&[TOPIC.to_string()], PARTITIONS)?;
    config.kafka.brokers = broker.brokers();
    output::note(format!(
        "\n2/3  streaming {} unseen documents and {} broken messages through a broker at {}",
        messages.len() - BROKEN.len(),
        BROKEN.len(),
        config.kafka.brokers
    ));
    let file = write_config(config.clone(), &args.out)?;
    let arguments = vec!["--config".to_owned(), file.display().to_string()];
    let job = JobCommand {
        program: std::env::current_exe().map_err(Error::file("find", "fenliu itself"))?,
        arguments,
    };
    let summary = stream::stream(config, TOPIC, messages, job, is_watched)?;
    if common.json {
        return output::json(&summary);
    }
    output::note("\n3/3  done");
    output::line(report::report(&summary, &args.out, NAME, &test_files)?)
}

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(" and ")
}

/// Writes a configuration that the user can adapt to a real broker. It has another pipeline name than the demo, so that
/// the positions of the demo do not apply to the user's topics.
fn write_config(mut config: Config, out: &Path) -> Result<PathBuf> {
    config.kafka.brokers = "localhost:9092".into();
    config.name = "fenliu".into();
    let file = out.join("fenliu.toml");
    std::fs::write(&file, config.to_redacted_toml()).map_err(Error::file("write", &file))?;
    Ok(file)
}

/// The demo's configuration. Rows of an earlier demo in `out` are deleted; other files there are left alone.
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
    // Corrections that are made on the page.
    let corrections = out.join("corrections");
    std::fs::create_dir_all(&corrections).map_err(Error::file("create directory", &corrections))?;
    config.finetune.feedback.paths = vec![corrections];
    Ok(config)
}

/// The rows to train on, and those that no model is trained on.
struct Divided {
    train: PathBuf,
    held_out: PathBuf,
}

/// One row in so many is held out.
const HELD_OUT: usize = 10;

/// Divides the rows for training: a job that fine-tunes the model compares it with the model before on rows that neither of
/// them has seen. Otherwise the first model, which knows all rows by heart, would never be replaced.
fn hold_out(files: &[PathBuf], out: &Path) -> Result<Divided> {
    let (mut train, mut held_out) = (vec![], vec![]);
    for file in files {
        for (number, row) in Documents::open(file)?.enumerate() {
            let part = if number % HELD_OUT == 0 { &mut held_out } else { &mut train };
            part.extend_from_slice(row?.content.payload());
            part.push(b'\n');
        }
    }
    let write = |name: &str, rows: &[u8]| -> Result<PathBuf> {
        let path = out.join(name);
        std::fs::write(&path, rows).map_err(Error::file("write", &path))?;
        Ok(path)
    };
    Ok(Divided { train: write("train.jsonl", &train)?, held_out: write("held-out.jsonl", &held_out)? })
}

/// The test documents of all sets, with the broken messages among them.
fn messages(test_files: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let rows = |file: &PathBuf| {
        Documents::open(file)?.map(|row| Ok(row?.content.payload().to_vec())).collect::<Result<Vec<_>>>()
    };
    let mut messages = interleaved(test_files.iter().map(rows).collect::<Result<_>>()?);
    for (index, broken) in BROKEN.iter().enumerate() {
        messages.insert(messages.len() * (index + 1) / (BROKEN.len() + 1), broken.to_vec());
    }
    Ok(messages)
}

/// One list in which the members of each set are spread evenly, in their order.
fn interleaved<T>(sets: Vec<Vec<T>>) -> Vec<T> {
    let placed = |set: Vec<T>| {
        let distance = 1.0 / set.len() as f64;
        set.into_iter().enumerate().map(move |(index, item)| ((index as f64 + 0.5) * distance, item))
    };
    let mut items: Vec<(f64, T)> = sets.into_iter().flat_map(placed).collect();
    items.sort_by(|a, b| a.0.total_cmp(&b.0));
    items.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_spread_evenly_and_keep_their_order() {
        let mixed = interleaved(vec![vec!['a', 'b', 'c', 'd', 'e', 'f'], vec!['1', '2'], vec![]]);
        assert_eq!(mixed.iter().collect::<String>(), "ab1cde2f");
    }
}
