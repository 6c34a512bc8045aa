//! The real `fenliu` binary as a child process: run to its end, or started, watched and killed.
//!
//! Standard input is empty. Output goes to files, so that a child never blocks on a full pipe.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tempfile::NamedTempFile;

use crate::scripts;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How a run of the binary ended and all that it printed.
#[derive(Debug)]
pub struct Finished {
    /// Exit code, or the signal that ended it.
    pub status: ExitStatus,
    /// Standard output; invalid UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, the log included; invalid UTF-8 is replaced.
    pub stderr: String,
}

/// A running `fenliu`, killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

/// Path of the binary under test: `FENLIU_BINARY`, or else the one of this workspace, which is
/// built on first use in the test's own target directory and profile.
///
/// # Errors
/// If the build fails; the error carries the compiler's words.
pub fn path() -> Result<&'static PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY
        .get_or_init(|| match std::env::var_os("FENLIU_BINARY") {
            Some(path) => Ok(PathBuf::from(path)),
            None => build().map_err(|error| format!("{error:#}")),
        })
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

/// Runs the binary with `args` to its end.
///
/// # Errors
/// If the binary is not there, cannot be started, or has not ended after `timeout` (it is killed).
pub fn run<S: AsRef<OsStr>>(args: &[S], timeout: Duration) -> Result<Finished> {
    start(args)?.wait(timeout)
}

/// Starts the binary with `args` and returns at once.
///
/// # Errors
/// If the binary is not there or cannot be started.
pub fn start<S: AsRef<OsStr>>(args: &[S]) -> Result<Running> {
    start_with(args, &[])
}

/// As [`start`], with environment `variables`.
///
/// # Errors
/// As [`start`].
pub fn start_with<S: AsRef<OsStr>>(args: &[S], variables: &[(&str, &str)]) -> Result<Running> {
    start_in(Path::new("."), args, variables)
}

/// As [`start_with`], in the working directory `directory`.
///
/// # Errors
/// As [`start`].
pub fn start_in<S: AsRef<OsStr>>(
    directory: &Path,
    args: &[S],
    variables: &[(&str, &str)],
) -> Result<Running> {
    let path = std::path::absolute(path()?)?;
    let (stdout, stderr) = (NamedTempFile::new()?, NamedTempFile::new()?);
    let child = Command::new(&path)
        .current_dir(directory)
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(stdout.reopen()?)
        .stderr(stderr.reopen()?)
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    Ok(Running { child, stdout, stderr })
}

impl Finished {
    /// How often the log holds the event of that name (see [`Running::wait_for_event`]).
    #[must_use]
    pub fn events(&self, name: &str) -> usize {
        self.stderr.matches(&field(name)).count()
    }
}

/// The event of that name as a line of the log shows it.
fn field(event: &str) -> String {
    format!("event=\"{event}\"")
}

impl Running {
    /// Sends the signal of that name (`TERM`, `KILL`, `STOP`, `CONT`, …).
    ///
    /// # Errors
    /// If the process has ended already or the signal's name is unknown.
    pub fn signal(&self, name: &str) -> Result<()> {
        // The shell's own `kill`: minimal systems have no such program.
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &self.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "cannot send SIG{name} to process {}", self.child.id());
        Ok(())
    }

    /// Whether the process has ended.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until the log holds the event of that name: the field `event`, which stays when the sentence beside it
    /// is put in other words.
    ///
    /// # Errors
    /// If it does not within `timeout`, or the process ends first without the event.
    pub fn wait_for_event(&mut self, name: &str, timeout: Duration) -> Result<()> {
        self.wait_for_events(name, 1, timeout)
    }

    /// Waits until the log holds the event of that name so many `times`.
    ///
    /// # Errors
    /// As [`Running::wait_for_event`].
    pub fn wait_for_events(&mut self, name: &str, times: usize, timeout: Duration) -> Result<()> {
        self.wait_for_text_times(&field(name), times, timeout)
    }

    /// Waits until standard error contains `text`: for the text of an error, which users see as it is. What the
    /// pipeline does is waited for by [`Running::wait_for_event`].
    ///
    /// # Errors
    /// As [`Running::wait_for_event`].
    pub fn wait_for_text(&mut self, text: &str, timeout: Duration) -> Result<()> {
        self.wait_for_text_times(text, 1, timeout)
    }

    fn wait_for_text_times(&mut self, text: &str, times: usize, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            // Asked before the log is read, so that a last line is not missed.
            let ended = self.child.try_wait()?;
            let log = read_lossy(self.stderr.reopen()?)?;
            if log.matches(text).count() >= times {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("fenliu ended ({status}) without logging {text:?}:\n{log}");
            }
            ensure!(Instant::now() < deadline, "no {text:?} in {timeout:?} in the log:\n{log}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Memory of the process that is in RAM.
    ///
    /// # Errors
    /// If the process has ended, or the system is not Linux.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most memory of the process that was in RAM at any time.
    ///
    /// # Errors
    /// As [`Running::resident_bytes`].
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Time that the process has had on processors.
    ///
    /// # Errors
    /// As [`Running::resident_bytes`].
    pub fn processor_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The second field is the name, in parentheses; the 14th and 15th count hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').with_context(|| format!("no name in {path}"))?;
        let hundredths = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Ok(Duration::from_millis(10 * hundredths.sum::<Result<u64, _>>()?))
    }

    /// How many files, sockets and the like the process has open.
    ///
    /// # Errors
    /// As [`Running::resident_bytes`].
    pub fn open_files(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.child.id());
        Ok(std::fs::read_dir(&path).with_context(|| format!("cannot list {path}"))?.count())
    }

    fn memory(&self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        let kibibytes: u64 = kibibytes.with_context(|| format!("no {name} in {path}"))?.parse()?;
        Ok(kibibytes << 10)
    }

    /// Waits for the end and returns what was printed.
    ///
    /// # Errors
    /// If the process has not ended after `timeout`; it is then killed.
    pub fn wait(mut self, timeout: Duration) -> Result<Finished> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let (stdout, stderr) = self.output()?;
                return Ok(Finished { status, stdout, stderr });
            }
            if Instant::now() >= deadline {
                let (stdout, stderr) = self.output()?;
                bail!("fenliu still runs after {timeout:?}:\n{stdout}\n{stderr}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn output(&self) -> Result<(String, String)> {
        Ok((read_lossy(self.stdout.reopen()?)?, read_lossy(self.stderr.reopen()?)?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking()
            && let Ok(log) = self.stderr.reopen().map_err(anyhow::Error::from).and_then(read_lossy)
        {
            eprintln!("what the process that was still running had logged:\n{log}");
        }
    }
}

/// Builds the binary beside this test: `<target>/<profile>/deps/integration-…` names both.
fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile_dir = test.ancestors().nth(2).context("the test is in no target directory")?;
    let target_dir = profile_dir.parent().context("the test is in no target directory")?;
    let profile = match profile_dir.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bin", "fenliu", "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .current_dir(scripts::repository())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cannot build the binary:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(profile_dir.join(format!("fenliu{}", std::env::consts::EXE_SUFFIX)))
}

fn read_lossy(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
