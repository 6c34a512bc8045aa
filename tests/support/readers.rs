//! Second readers: what fenliu writes is read back by pyarrow, DuckDB and Delta Kernel, which share no code with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::scripts;
use crate::watchdog::Watchdog;

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// What follows the code: Arrow's threads, which call back into Python, abort the interpreter when it ends while
/// one of them still does.
const LEAVE: &str = "\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n";

/// Runs Python `code` with `args` (its `sys.argv[1:]`) where pyarrow and duckdb can be imported,
/// and parses the last line that it prints as JSON: before it DuckDB draws a bar if it takes more than two seconds.
///
/// # Errors
/// If the environment cannot be made, the code fails (the error carries its traceback), or its last line is
/// not JSON.
pub fn python(code: &str, args: &[&str]) -> Result<serde_json::Value> {
    let output = Command::new(interpreter()?)
        .args(["-c", &format!("{code}{LEAVE}")])
        .args(args)
        .output()
        .context("cannot run the second readers' Python")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the second reader failed: {stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("not JSON: {last:.1000} {stderr}"))
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    _process: Watchdog,
}

/// Starts Python `code` there, a server of a test, which writes the port it listens on into the file `port` of
/// `directory`, its argument; it ends when the result is dropped. Gives the port, too.
///
/// # Errors
/// If the environment cannot be made or the server does not start.
pub fn serve(code: &str, directory: &Path) -> Result<(Server, u16)> {
    let mut command = Command::new(interpreter()?);
    command.args(["-c", code]).arg(directory);
    let own = tempfile::Builder::new().prefix("fenliu-reader-").tempdir()?;
    let process = Watchdog::start(own, &command)?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(port) = std::fs::read_to_string(directory.join("port")) {
            return Ok((Server { _process: process }, port.parse()?));
        }
        ensure!(Instant::now() < deadline, "the server does not start; its log:\n{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The partitions and offsets in the Delta table at `path`, as pairs, as Delta Kernel for Java reads them, which shares
/// no code with the library that writes; none, said aloud, where Java or Maven is missing.
///
/// # Errors
/// If the table cannot be read.
///
/// # Panics
/// If Delta Kernel cannot be had and `FENLIU_REQUIRE` lists `broker`.
pub fn delta_kernel(path: &str) -> Result<Option<serde_json::Value>> {
    let jars = scripts::run("tests/peers/delta_kernel/fetch.sh", &[]);
    let jars = jars.map_err(|why| format!("no Delta Kernel: {why:#}"));
    let Some(jars) = fenliu_skip::found(fenliu_skip::Part::Broker, jars) else { return Ok(None) };
    let source = scripts::repository().join("tests/peers/delta_kernel/Rows.java");
    let mut java = Command::new("java");
    // The quick compiler only: it runs for seconds.
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(jars.join("*")).arg(source);
    let output = java.arg(path).output().context("cannot run java")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "Delta Kernel failed: {stderr}");
    serde_json::from_slice(&output.stdout).context("not JSON").map(Some)
}

/// Makes the environment once, however many tests ask at the same time.
fn interpreter() -> Result<&'static PathBuf> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INTERPRETER
        .get_or_init(|| scripts::run("tests/readers/venv.sh", &[]).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}
