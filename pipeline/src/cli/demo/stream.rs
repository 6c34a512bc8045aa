//! Sends the demo's messages to the embedded broker and runs the pipeline meanwhile.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use fenliu_connectors::Shutdown;
use fenliu_connectors::kafka::{MessageWriter, NewMessage, client_config};

use crate::cli::common::shutdown_on_signals;
use crate::cli::output;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::finetune::JobCommand;
use crate::metrics::Counters;
use crate::run::{RunOptions, run};
use crate::summary::Summary;

/// How many messages the producer may be ahead of the pipeline. The embedded broker deletes old messages when a
/// partition reaches 5 MB, so messages that are produced too early would be lost.
const MESSAGES_AHEAD: u64 = 2000;

/// Messages a second where someone watches.
const WATCHED_RATE: u32 = 40;

/// Produces to `topic` and runs side by side, until every message came out; if someone watches, slowly, and until he or she
/// ends it. `job` starts fine-tuning jobs from the page.
pub(super) fn stream(
    config: Config,
    topic: &'static str,
    messages: Vec<Vec<u8>>,
    job: JobCommand,
    is_watched: bool,
) -> Result<Summary> {
    let shutdown = shutdown_on_signals()?;
    let expected = messages.len() as u64;
    let page =
        |address| output::note(format!("     the page is at http://{address}/ — Ctrl-C ends the demo\n"));
    let announce: Option<fn(SocketAddr)> = is_watched.then_some(page);
    let options = RunOptions { expected: Some(expected), job: Some(job), announce, ..RunOptions::default() };
    let writer = MessageWriter::try_new(client_config(&config.kafka, &Default::default()))?;
    let counters = options.counters.clone();
    let stop = shutdown.clone();
    let producer = std::thread::spawn(move || {
        let rate = if is_watched { WATCHED_RATE } else { u32::MAX };
        let sent = send(&writer, topic, &messages, rate, &counters, &stop);
        // The topic never ends, so the run is stopped when every message has come out, as a row or as a dead
        // letter.
        while sent.is_ok() && counters.snapshot().documents() < expected && !stop.is_requested() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if is_watched && sent.is_ok() && !stop.is_requested() {
            output::note("     all stories are labelled; the page stays until Ctrl-C");
            while !stop.is_requested() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        stop.request();
        sent
    });
    let outcome = run(&config.validate("demo")?, options, &shutdown);
    // Also if the run failed: the producer would otherwise wait for documents that never come.
    shutdown.request();
    let sent = join(producer);
    outcome.and_then(|summary| sent.map(|()| summary))
}

fn send(
    writer: &MessageWriter,
    topic: &str,
    messages: &[Vec<u8>],
    rate: u32,
    counters: &Counters,
    stop: &Shutdown,
) -> Result<()> {
    for (sent, message) in (0_u64..).zip(messages) {
        while sent > counters.snapshot().documents() + MESSAGES_AHEAD && !stop.is_requested() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if stop.is_requested() {
            break;
        }
        writer.send(NewMessage::new(topic, message))?;
        if rate < u32::MAX {
            std::thread::sleep(Duration::from_secs(1) / rate);
        }
    }
    writer.flush()
}

fn join(producer: JoinHandle<Result<()>>) -> Result<()> {
    let panicked = |_| Err(Error::internal("the producer panicked"));
    producer.join().unwrap_or_else(panicked)
}
