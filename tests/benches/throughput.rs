//! Throughput and memory of the real binary, from a real Kafka to its end; part of `make bench`.
//!
//! A topic of JSON documents of 2 KB, real news text, is read from its beginning to its end by a new pipeline in
//! each run. Rates are those of the summary, from the first message received to the last commit; broker and
//! pipeline share the machine, perhaps with others, whose part is told.
//!
//! | variable | meaning |
//! |---|---|
//! | `FENLIU_DOCUMENTS` | how many documents |
//! | `FENLIU_RUNS` | how often each pipeline runs |
//! | `FENLIU_CASE` | part of the names of the pipelines that run |
//! | `FENLIU_MODEL` | the directory of a model, of all its versions: more pipelines label a share of the documents by it |

#![expect(clippy::print_stdout, reason = "results go to standard output")]

use std::collections::hash_map::{Entry, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fenliu_tests::binary::{Finished, Running};
use fenliu_tests::files::copy_directory;
use fenliu_tests::kafka::{Broker, NewRecord, unique_name};
use fenliu_tests::{binary, data, kafka};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long a member that comes and goes stays, and stays away.
const TURN: Duration = Duration::from_secs(5);
/// How long a version is the champion where the champion changes.
const REIGN: Duration = Duration::from_secs(30);
const PARTITIONS: i32 = 4;
/// Bytes of a message, give or take a few.
const DOCUMENT_BYTES: f64 = 2048.0;
/// Bytes of its text; the other fields make up the rest.
const TEXT_BYTES: usize = 1_828;
/// Messages in memory while the topic is filled.
const CHUNK: usize = 20_000;
/// A model labels one document in so many of those that pass through.
const LABELLED_SHARE: usize = 20;
/// One message in so many cannot be decoded where some cannot.
const BROKEN_EVERY: usize = 100;

const CONFIG: &str = r#"
    name = "NAME"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [output]
    body = true
    [dead_letters]
    type = "files"
    path = "DIR/dead"
"#;

/// A topic instead of files, in epochs of a second.
const TOPIC: &str = "[[sinks]]\ntype = \"kafka\"\ntopic = \"OUT\"\n[epoch]\nkafka_max_age = \"1s\"\n";

const PARQUET: &str = "[[sinks]]\ntype = \"files\"\npath = \"DIR/rows\"\n";

/// Where `MODEL` is a model's name.
const LABELLED: &str = "[model]\nbundle = \"DIR/models/MODEL\"\n";

/// What a topic holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Documents {
    count: usize,
    /// Whether one in [`BROKEN_EVERY`] cannot be decoded.
    some_broken: bool,
}

impl Documents {
    fn is_broken(&self, n: usize) -> bool {
        self.some_broken && n.is_multiple_of(BROKEN_EVERY)
    }

    fn broken(&self) -> u64 {
        (0..self.count).filter(|n| self.is_broken(*n)).count() as u64
    }
}

/// A pipeline, by what it adds to the configuration above.
struct Case {
    name: &'static str,
    config: String,
    documents: Documents,
    /// The directory of the model that it has.
    model: Option<PathBuf>,
    run: fn(&Broker, &Case, &str) -> Result<String>,
}

fn main() -> Result<()> {
    let Some(broker) = kafka::broker()? else { return Ok(()) };
    let count = number("FENLIU_DOCUMENTS", 400_000)?;
    let mut cases = unlabelled_cases(count);
    if let Ok(model) = std::env::var("FENLIU_MODEL") {
        cases.extend(labelled_cases(count / LABELLED_SHARE, Path::new(&model))?);
    }
    let only = std::env::var("FENLIU_CASE").unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    let mut topics = HashMap::new();
    for case in &cases {
        if let Entry::Vacant(topic) = topics.entry(case.documents) {
            topic.insert(fill(broker, case.documents)?);
        }
    }
    for run in 1..=number("FENLIU_RUNS", 3)? {
        for case in &cases {
            println!("{}, run {run}: {}", case.name, (case.run)(broker, case, &topics[&case.documents])?);
        }
    }
    Ok(())
}

fn unlabelled_cases(count: usize) -> Vec<Case> {
    let documents = Documents { count, some_broken: false };
    let case = |name, config| Case { name, config, documents, model: None, run: measure };
    let no_steps = "[clean]\nsteps = []\n";
    vec![
        case("to Parquet as they are", format!("{no_steps}{PARQUET}")),
        case("to Parquet, cleaned by the default steps", PARQUET.to_string()),
        case("to a topic, exactly once", format!("{no_steps}{TOPIC}delivery = \"exactly-once\"\n")),
        case("to a topic, at least once", format!("{no_steps}{TOPIC}delivery = \"at-least-once\"\n")),
    ]
}

fn labelled_cases(count: usize, model: &Path) -> Result<Vec<Case>> {
    let config = format!("{}{PARQUET}", LABELLED.replace("MODEL", &name_of(model)?));
    let documents = Documents { count, some_broken: false };
    let case = |name, documents, run| Case {
        name,
        config: config.clone(),
        documents,
        model: Some(model.to_path_buf()),
        run,
    };
    let some_broken = Documents { some_broken: true, ..documents };
    Ok(vec![
        case("to Parquet, cleaned and labelled", documents, measure),
        case("the same where one message in 100 cannot be decoded", some_broken, measure),
        case("the same by a group, another member of which comes and goes", documents, measure_moves),
        case("the same while the champion changes", documents, measure_swaps),
    ])
}

fn name_of(model: &Path) -> Result<String> {
    let name = model.file_name().and_then(|name| name.to_str());
    name.map(str::to_string).with_context(|| format!("{} is not a model's directory", model.display()))
}

/// A pipeline that is ready to run.
struct Ready {
    /// Removed at the end.
    directory: TempDir,
    config: PathBuf,
    /// Its name, and its consumer group.
    name: String,
}

impl Ready {
    fn new(broker: &Broker, case: &Case, topic: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        if let Some(model) = &case.model {
            copy_directory(model, &directory.path().join("models").join(name_of(model)?))?;
        }
        let (config, name) = (directory.path().join("fenliu.toml"), unique_name("throughput"));
        let out = unique_name("throughput-out");
        broker.create_topic(&out, PARTITIONS)?;
        let text = format!("{CONFIG}{}", case.config)
            .replace("NAME", &name)
            .replace("BROKERS", broker.brokers())
            .replace("TOPIC", topic)
            .replace("OUT", &out)
            .replace("DIR", &directory.path().display().to_string());
        std::fs::write(&config, text)?;
        Ok(Self { directory, config, name })
    }

    fn start(&self, more: &[&str]) -> Result<Running> {
        let more: Vec<&Path> = more.iter().map(Path::new).collect();
        binary::start(&[&["run", "--json", "-c"].map(Path::new)[..], &[&self.config], &more].concat())
    }
}

/// Runs the pipeline of `case` once; what it did, in a line.
fn measure(broker: &Broker, case: &Case, topic: &str) -> Result<String> {
    let ready = Ready::new(broker, case, topic)?;
    let mut running = ready.start(&["--stop-at-end"])?;
    let (began, mut used) = (processor_time_of_all()?, (0, Duration::ZERO));
    while !running.has_ended()? {
        // The last reading counts: it may end meanwhile.
        used = (running.peak_resident_bytes().unwrap_or(used.0), running.processor_time().unwrap_or(used.1));
        std::thread::sleep(Duration::from_millis(20));
    }
    let others = (processor_time_of_all()? - began).saturating_sub(used.1);
    let summary = summary(&running.wait(PATIENCE)?)?;
    let dead = summary["dead_letters"].as_object().into_iter().flatten();
    let dead: u64 = dead.filter_map(|(_, count)| count.as_u64()).sum();
    ensure!(dead == case.documents.broken(), "{summary}");
    let line = line(&summary, used).with_context(|| format!("no summary: {summary}"))?;
    let share = others.as_secs_f64() / (others + used.1).as_secs_f64();
    Ok(format!("{line}; {:.0} % of what the processors did was for others", 100.0 * share))
}

/// How fast a group is of which a second member comes and goes, beside that of one member.
fn measure_moves(broker: &Broker, case: &Case, topic: &str) -> Result<String> {
    let (alone, _) = group_rate(broker, case, topic, false)?;
    let (restless, moves) = group_rate(broker, case, topic, true)?;
    let share = 100.0 * restless / alone;
    Ok(format!("{alone:.0} documents a second alone, {restless:.0} in {moves} moves: {share:.0} %"))
}

/// Documents a second from the start of the first member to the last commit, and how often another joined or left.
fn group_rate(broker: &Broker, case: &Case, topic: &str, is_restless: bool) -> Result<(f64, usize)> {
    let ready = Ready::new(broker, case, topic)?;
    let (start, mut moved, mut moves) = (Instant::now(), Instant::now(), 0);
    let (stays, mut comes_and_goes) = (ready.start(&[])?, None);
    while committed(broker, &ready.name, topic)? < case.documents.count {
        ensure!(start.elapsed() < PATIENCE, "not all documents were committed in {PATIENCE:?}");
        if is_restless && moved.elapsed() >= TURN {
            comes_and_goes = match comes_and_goes.take() {
                Some(member) => stop(member).map(|()| None)?,
                None => Some(ready.start(&[])?),
            };
            (moved, moves) = (Instant::now(), moves + 1);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let rate = case.documents.count as f64 / start.elapsed().as_secs_f64();
    comes_and_goes.into_iter().chain([stays]).try_for_each(stop)?;
    Ok((rate, moves))
}

/// How late labels are while the champion changes, beside those of a champion that stays.
fn measure_swaps(broker: &Broker, case: &Case, topic: &str) -> Result<String> {
    let (stays, _) = latency(broker, case, topic, false)?;
    let (changes, swaps) = latency(broker, case, topic, true)?;
    let ratio = changes as f64 / stays as f64;
    Ok(format!("99 % within {stays} ms of one champion, {changes} ms in {swaps} swaps: {ratio:.2} times"))
}

/// Within how many milliseconds of its arrival 99 % of the documents are labelled, and how often the champion changed.
fn latency(broker: &Broker, case: &Case, topic: &str, changes: bool) -> Result<(u64, usize)> {
    let ready = Ready::new(broker, case, topic)?;
    let models = ready.directory.path().join("models");
    let name = name_of(case.model.as_ref().context("the pipeline has no model")?)?;
    let versions = std::fs::read_dir(models.join(&name).join("versions"))?;
    let versions: Vec<String> = versions.map(|version| name_of(&version?.path())).collect::<Result<_>>()?;
    let [first, second, ..] = &versions[..] else { bail!("{name} has one version only: it cannot change") };
    promote(&models, &format!("{name}@{first}"))?;
    let mut running = ready.start(&["--stop-at-end"])?;
    let (mut changed, mut swaps) = (Instant::now(), 0);
    while !running.has_ended()? {
        if changes && changed.elapsed() >= REIGN {
            let next = if swaps % 2 == 0 { second } else { first };
            promote(&models, &format!("{name}@{next}"))?;
            (changed, swaps) = (Instant::now(), swaps + 1);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let summary = summary(&running.wait(PATIENCE)?)?;
    let latency = summary["latency_p99_ms"].as_u64();
    Ok((latency.with_context(|| format!("no summary: {summary}"))?, swaps))
}

fn promote(models: &Path, version: &str) -> Result<()> {
    let mut command = Command::new(binary::path()?);
    let output = command.arg("model").arg("--models").arg(models).args(["promote", version]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What a run that went well says of itself at its end.
fn summary(finished: &Finished) -> Result<Value> {
    ensure!(finished.status.success(), "{}", finished.stderr);
    Ok(serde_json::from_str(&finished.stdout)?)
}

fn committed(broker: &Broker, group: &str, topic: &str) -> Result<usize> {
    let offsets = broker.committed(group, topic)?;
    Ok(offsets.values().flatten().map(|offset| *offset as usize).sum())
}

fn stop(member: Running) -> Result<()> {
    member.signal("TERM")?;
    let finished = member.wait(PATIENCE)?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    Ok(())
}

/// Time that all processes together have had on processors since the start of the machine.
fn processor_time_of_all() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    // Of the whole machine, in hundredths of a second: user, nice, system, idle, waiting, and interrupts.
    let mut fields = stat.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    let busy = fields.by_ref().take(3).sum::<u64>() + fields.skip(2).take(2).sum::<u64>();
    Ok(Duration::from_millis(10 * busy))
}

fn line(summary: &Value, (peak_bytes, processor): (u64, Duration)) -> Option<String> {
    let (documents, rate) = (summary["documents"].as_u64()?, summary["docs_per_s"].as_f64()?);
    let busy = summary["busy"].as_array()?.iter().filter_map(|busy| {
        Some(format!("{} {:.0} %", busy["stage"].as_str()?, 100.0 * busy["share"].as_f64()?))
    });
    Some(format!(
        "{documents} documents, {rate:.0} a second, {:.0} MB/s, {:.1} us of processor each, at most {} MiB; busy: {}",
        rate * DOCUMENT_BYTES / 1e6,
        processor.as_secs_f64() * 1e6 / documents as f64,
        peak_bytes >> 20,
        busy.collect::<Vec<_>>().join(", ")
    ))
}

/// A new topic of `documents`.
fn fill(broker: &Broker, documents: Documents) -> Result<String> {
    let count = documents.count;
    let topic = unique_name("throughput");
    broker.create_topic(&topic, PARTITIONS)?;
    let text = text()?;
    let record = |n: usize| NewRecord {
        partition: Some((n % PARTITIONS as usize) as i32),
        value: Some(document(n, &text, documents.is_broken(n))),
        ..NewRecord::default()
    };
    for first in (0..count).step_by(CHUNK) {
        let records: Vec<NewRecord> = (first..count.min(first + CHUNK)).map(record).collect();
        broker.produce(&topic, &records)?;
    }
    Ok(topic)
}

/// Document number `n`: as much of `text` as neither the documents before nor those after it have; cut short where
/// it is broken.
fn document(n: usize, text: &str, is_broken: bool) -> Vec<u8> {
    let start = n * TEXT_BYTES % (text.len() - TEXT_BYTES);
    let body = text.get(start..start + TEXT_BYTES).unwrap_or_default();
    let story = json!({
        "id": format!("story-{n:08}"),
        "url": format!("https://news.example/2026/11/25/story-{n:08}"),
        "title": body.get(..60),
        "source": "reuters",
        "published_at": "2026-11-25T09:30:00Z",
        "body": body,
    });
    let mut story = story.to_string();
    if is_broken {
        story.pop();
    }
    story.into_bytes()
}

/// All Reuters articles, a paragraph each; ASCII, so that it can be cut anywhere.
fn text() -> Result<String> {
    let directory = data::reuters()?;
    let mut text = String::new();
    for file in ["train.jsonl", "test.jsonl"] {
        for line in std::fs::read_to_string(directory.join(file))?.lines() {
            let article: Value = serde_json::from_str(line)?;
            let words = article["body"].as_str().or(article["text"].as_str()).context("no text")?;
            text.extend(words.chars().filter(char::is_ascii));
            text.push('\n');
        }
    }
    Ok(text)
}

fn number(variable: &str, default: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(value) => value.parse().with_context(|| format!("{variable} is `{value}`, which is no number")),
        Err(_) => Ok(default),
    }
}
