//! A child process that does not outlive the test process, however that ends.
//!
//! A shell holds the reading end of a pipe from the test process, and end of file is the word to kill. (A
//! static is never dropped, and a killed process drops nothing.)

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Runs `$2 …` with its output in `$1/output.log` until standard input ends, then kills it and removes `$1`.
/// Interrupts are ignored, so that the end of the test process is the only signal.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
directory=$1
shift
"$@" </dev/null >"$directory/output.log" 2>&1 &
echo $! >"$directory/pid"
read -r _
kill -9 $!
wait
rm -rf "$directory"
"#;

/// A watched child and the directory that goes with it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
    directory: PathBuf,
}

impl Watchdog {
    /// Starts `command` on `directory`, which is removed with it.
    ///
    /// # Errors
    /// If there is no shell.
    pub(crate) fn start(directory: TempDir, command: &Command) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "sh"])
            .arg(directory.path())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        let shell = shell.stdin(Stdio::piped()).spawn().context("cannot start sh")?;
        Ok(Watchdog { shell, directory: directory.keep() })
    }

    /// Sends the child the signal `name`, such as `STOP`.
    ///
    /// # Errors
    /// If the child has ended.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let pid = std::fs::read_to_string(self.directory.join("pid")).context("the child has no number")?;
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status()?;
        ensure!(sent.success(), "no process {} takes the signal {name}", pid.trim());
        Ok(())
    }

    /// What the child has printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("output.log")).unwrap_or_default()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Fails only if it has ended.
        let _ = self.shell.wait();
    }
}
