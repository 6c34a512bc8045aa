//! Second readers: what fenliu writes is read back by pyarrow and DuckDB, which share no code with it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::scripts;
use crate::watchdog::Watchdog;

/// What follows the code: Arrow's threads, which call back into Python, abort the interpreter when it ends while
/// one of them still does.
const LEAVE: &str = "\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n";

/// Runs Python `code` with `args` (its `sys.argv[1:]`) where pyarrow and duckdb can be imported,
/// and parses what it prints as JSON.
///
/// # Errors
/// If the environment cannot be made, the code fails (the error carries its traceback), or what it
/// prints is not JSON.
pub fn python(code: &str, args: &[&str]) -> Result<serde_json::Value> {
    let output = Command::new(interpreter()?)
        .args(["-c", &format!("{code}{LEAVE}")])
        .args(args)
        .output()
        .context("cannot run the second readers' Python")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the second reader failed: {stderr}");
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("not JSON: {:?} {stderr}", String::from_utf8_lossy(&output.stdout)))
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    _process: Watchdog,
}

/// Starts Python `code` with `args` there, a server of a test; it ends when the result is dropped.
///
/// # Errors
/// If the environment cannot be made or the process not be started.
pub fn start(code: &str, args: &[&str]) -> Result<Server> {
    let mut command = Command::new(interpreter()?);
    command.args(["-c", code]).args(args);
    let directory = tempfile::Builder::new().prefix("fenliu-reader-").tempdir()?;
    Watchdog::start(directory, &command).map(|process| Server { _process: process })
}

/// Makes the environment once, however many tests ask at the same time.
fn interpreter() -> Result<&'static PathBuf> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INTERPRETER
        .get_or_init(|| scripts::run("tests/readers/venv.sh", &[]).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}
