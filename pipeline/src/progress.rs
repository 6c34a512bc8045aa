//! Reports the progress of long work: one line that is rewritten on a terminal, or a log line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::background::Background;
use crate::metrics::Counters;

const ON_TERMINAL: Duration = Duration::from_millis(200);
const IN_LOG: Duration = Duration::from_secs(5);

/// Reports the counters until it is dropped.
pub(crate) struct Progress {
    /// `None` if the thread could not be started: the pipeline then runs without progress reports.
    _thread: Option<Background>,
}

impl Progress {
    /// Starts reporting to standard error. `total` is the number of documents that are expected, if it is known.
    pub(crate) fn start(counters: Counters, total: Option<u64>) -> Self {
        let bar = bar(total, "documents");
        let every = if bar.is_hidden() { IN_LOG } else { ON_TERMINAL };
        let thread = Background::spawn("progress", move |stop| {
            let (mut before, mut since) = (0, Instant::now());
            while stop.pause(every) {
                let counts = counters.snapshot();
                let rate = (counts.documents() - before) as f64 / since.elapsed().as_secs_f64();
                (before, since) = (counts.documents(), Instant::now());
                if bar.is_hidden() {
                    let (documents, dead_letters) = (counts.documents(), counts.rejected());
                    tracing::info!(
                        event = "progress",
                        documents,
                        dead_letters,
                        docs_per_s = rate.round(),
                        "progress"
                    );
                } else {
                    bar.set_position(counts.documents());
                    bar.set_message(format!("{} dead letters", counts.rejected()));
                }
            }
            bar.finish_and_clear();
        });
        Progress { _thread: thread.ok() }
    }
}

/// A progress bar over `total` units of `what`, or a counter if the total is not known. Hidden if standard error is not
/// a terminal.
pub(crate) fn bar(total: Option<u64>, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, counts) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {human_pos}/{human_len}"),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos}"),
    };
    let template = format!("     {counts} {what}, {{per_sec}}, {{msg}}");
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
