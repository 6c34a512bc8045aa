//! `fenliu doctor`: what fenliu needs, what is there, and what to do about the rest.

use std::fmt::Display;
use std::process::ExitCode;

use fenliu_connectors::kafka::{client_config, look_up_cluster};
use fenliu_decode::registry_types;
use fenliu_model::{Bundle, Device, runtime};
use serde::Serialize;

use super::common::Common;
use super::output;
use crate::config::Config;
use crate::error::Result;
use crate::serve;

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
}

impl Finding {
    fn new<T: Display, E: Display>(what: &'static str, result: std::result::Result<T, E>) -> Self {
        match result {
            Ok(found) => Finding { what, ok: true, found: found.to_string() },
            Err(problem) => Finding { what, ok: false, found: problem.to_string() },
        }
    }
}

pub(super) fn doctor(common: &Common) -> Result<ExitCode> {
    let config = common.load()?;
    let mut findings = vec![
        Finding::new::<_, String>("fenliu", Ok(format!("{}, {}", env!("CARGO_PKG_VERSION"), features()))),
        Finding::new::<_, String>("processor", Ok(format!("{} cores", cores()))),
        Finding::new(
            "ONNX Runtime",
            runtime::load(config.model.onnxruntime.as_deref())
                .map(|runtime| format!("{} at {}", runtime.version(), runtime.path().display())),
        ),
        Finding::new::<_, String>("librdkafka", Ok(rdkafka::util::get_rdkafka_version().1)),
    ];
    if config.has_model() {
        findings.push(Finding::new("bundle", bundle(&config)));
        if config.model.device != Device::Cpu {
            let classifier = serve::open(&config.model);
            findings.push(Finding::new("device", classifier.map(|(_, classifier)| classifier.device())));
        }
    }
    if common.config.is_some() && config.source.group().is_some() {
        findings.push(Finding::new("Kafka", kafka(&config)));
    }
    let registry = &config.documents.registry;
    if !registry.url.is_empty() {
        let types = registry_types(registry).map(|types| format!("{}: {}", registry.url, types.join(", ")));
        findings.push(Finding::new("schema registry", types));
    }
    let healthy = findings.iter().all(|finding| finding.ok);
    if common.json {
        output::json(&findings)?;
    } else {
        for Finding { what, ok, found } in &findings {
            output::line(format!("{} {what:15} {found}", if *ok { "ok  " } else { "FAIL" }))?;
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What this binary was built with.
fn features() -> String {
    let features = [
        ("tls", cfg!(feature = "tls")),
        ("s3", cfg!(feature = "s3")),
        ("delta", cfg!(feature = "delta")),
        ("iceberg", cfg!(feature = "iceberg")),
        ("cuda", cfg!(feature = "cuda")),
    ];
    let built: Vec<&str> = features.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    if built.is_empty() { "without features".into() } else { format!("built with {}", built.join(", ")) }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn bundle(config: &Config) -> fenliu_model::Result<String> {
    let bundle = Bundle::open(&config.model.bundle)?;
    let manifest = bundle.manifest();
    Ok(format!("{} {}, {} labels, digests match", manifest.name, manifest.version, bundle.labels().len()))
}

fn kafka(config: &Config) -> std::result::Result<String, String> {
    if config.kafka.is_embedded() {
        return Ok("embedded".into());
    }
    let client = client_config(&config.kafka, &Default::default());
    let (brokers, topics) = look_up_cluster(&client)
        .map_err(|error| format!("no answer from `kafka.brokers` {}: {error}", config.kafka.brokers))?;
    Ok(format!("{}: {brokers} brokers, {topics} topics", config.kafka.brokers))
}
