//! Metrics of the process under the names that all of Prometheus's clients use, and what was built.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use fenliu_engine::metrics::Format;

/// The features of Cargo that this binary was built with.
const FEATURES: &[(&str, bool)] = &[
    ("cuda", cfg!(feature = "cuda")),
    ("delta", cfg!(feature = "delta")),
    ("iceberg", cfg!(feature = "iceberg")),
    ("s3", cfg!(feature = "s3")),
    ("tls", cfg!(feature = "tls")),
];

/// Appends the metrics of this process. What the system does not tell is left out.
pub(super) fn write(text: &mut String, started_at: DateTime<Utc>, format: Format) {
    let features: Vec<&str> = FEATURES.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    let labels = format!("{{version=\"{}\",features=\"{}\"}}", env!("CARGO_PKG_VERSION"), features.join(","));
    gauge(text, "fenliu_build_info", "1 for the version and the features of this binary", &labels, 1.0);
    let started = started_at.timestamp_millis() as f64 / 1000.0;
    gauge(text, "process_start_time_seconds", "When the process began, as a Unix time", "", started);
    #[cfg(target_os = "linux")]
    linux(text, format);
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
}

fn gauge(text: &mut String, name: &str, help: &str, labels: &str, value: f64) {
    // Writing to a `String` does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}");
}

#[cfg(target_os = "linux")]
fn linux(text: &mut String, format: Format) {
    if let Some(seconds) = cpu_seconds() {
        let name = "process_cpu_seconds_total";
        let family = if format == Format::OpenMetrics { "process_cpu_seconds" } else { name };
        let help = "User and system processor time of the process";
        let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} counter\n{name} {seconds}");
    }
    if let Some(bytes) = resident_bytes() {
        gauge(text, "process_resident_memory_bytes", "Resident memory of the process", "", bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge(text, "process_open_fds", "Open file descriptors of the process", "", files.count() as f64);
    }
}

#[cfg(target_os = "linux")]
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process may contain spaces and parentheses; fields are counted after its end. `utime` and `stime`
    // are the fields 14 and 15, in clock ticks (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // SAFETY: the call takes a number and returns one.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks / ticks_per_second as f64)
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: the call takes a number and returns one.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * page as f64)
}
