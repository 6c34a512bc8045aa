//! `fenliu produce`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use fenliu_config::Problems;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_connectors::kafka::{MessageWriter, NewMessage, client_config};

use super::common::{Common, shutdown_on_signals};
use super::output;
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    /// Documents: files such as JSON Lines, CSV, Parquet or Arrow, directories, or patterns
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Topic to send to
    #[arg(long)]
    topic: String,
    /// Brokers, instead of kafka.brokers
    #[arg(long, value_name = "HOST:PORT,...")]
    brokers: Option<String>,
    /// Documents per second at most; 0: as fast as the brokers take them
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    rate: f64,
}

pub(super) fn produce(args: &ProduceArgs, common: &Common) -> Result<()> {
    let mut kafka = common.load()?.kafka;
    kafka.brokers = args.brokers.clone().unwrap_or(kafka.brokers);
    if kafka.is_embedded() {
        let message =
            "is `embedded`, a broker that would end with this command: name the running one with --brokers";
        return Err(Problems::one(common.origin(), "kafka.brokers", message).into());
    }
    let writer = MessageWriter::try_new(client_config(&kafka, &Default::default()))?;
    writer.check_topic(&args.topic)?;
    let shutdown = shutdown_on_signals()?;
    let start = Instant::now();
    let mut sent = 0_u64;
    'files: for path in data_files(&args.data)? {
        for document in Documents::open(&path)? {
            if shutdown.is_requested() {
                break 'files;
            }
            writer.send(NewMessage::new(&args.topic, document?.content.payload()))?;
            sent += 1;
            pace(start, sent, args.rate);
        }
    }
    writer.flush()?;
    let seconds = start.elapsed().as_secs_f64();
    if common.json {
        return output::json(
            &serde_json::json!({ "documents": sent, "topic": args.topic, "seconds": seconds }),
        );
    }
    output::note(format!("{sent} documents sent to topic {} in {seconds:.1} s", args.topic));
    Ok(())
}

/// Sleeps until `sent` documents are due at a rate of `rate` documents per second.
fn pace(start: Instant, sent: u64, rate: f64) {
    if rate > 0.0 {
        let due = Duration::from_secs_f64(sent as f64 / rate);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
}
