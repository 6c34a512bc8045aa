//! What the exit code says, and that what cannot pass stops a pipeline within seconds.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fenliu_skip::{Part, skipped};
use fenliu_tests::binary;

use crate::fixtures::{PATIENCE, fails, run};

/// From files to files, without a model.
const CONFIG: &str = r#"
    [source]
    type = "files"
    paths = ["DIR/in.jsonl"]
    [clean]
    steps = []
    [model]
    bundle = ""
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    format = "jsonl"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
    [breaker]
    rows = 100
    share = 0.1
"#;

/// A configuration in `directory`, and an input of 200 documents of which one in so many is broken.
fn prepare(directory: &Path, broken_every: usize) -> String {
    let line = |n: usize| match n % broken_every {
        1 => "{\"body\": \"cut\n".to_string(),
        _ => format!("{{\"id\": \"{n}\", \"body\": \"The bank raised its rates by {n} points.\"}}\n"),
    };
    std::fs::write(directory.join("in.jsonl"), (0..200).map(line).collect::<String>()).unwrap();
    let path = directory.join("fenliu.toml");
    std::fs::write(&path, CONFIG.replace("DIR", directory.to_str().unwrap())).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn the_exit_code_says_what_kind_of_end_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let config = prepare(directory.path(), 1_000);
    run(&["check", "-c", &config]);
    run(&["run", "-c", &config]);

    let stderr = fails(&["evaluate", "--model", "no/such/model", "--data", "no/such/data"], 1);
    assert!(stderr.contains("no/such"), "{stderr}");

    let missing = format!("source.paths=[\"{}/none.jsonl\"]", directory.path().display());
    for wrong in [
        &["run", "-c", &config, "--set", "limits.batch_rows=0"][..],
        &["run", "-c", &config, "--set", &missing],
        &["run", "--no-such-option"],
    ] {
        fails(wrong, 2);
    }

    let directory = tempfile::tempdir().unwrap();
    let config = prepare(directory.path(), 5);
    let stderr = fails(&["run", "-c", &config], 3);
    assert!(stderr.contains("breaker.share"), "{stderr}");
}

/// Runs a pipeline that cannot write to its sink; it ends soon, and says `parts`.
fn ends_soon(config: &str, sink: &Path, parts: &[&str]) {
    let set = format!("sinks=[{{type=\"files\", path=\"{}\"}}]", sink.display());
    let start = Instant::now();
    let finished = binary::run(&["run", "-c", config, "--set", &set], PATIENCE).unwrap();
    let took = start.elapsed();
    println!(
        "ended after {:.1} s: {}",
        took.as_secs_f64(),
        finished.stderr.lines().last().unwrap_or_default()
    );
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(took < Duration::from_secs(10), "{took:?}: {}", finished.stderr);
    for part in [&[sink.to_str().unwrap()], parts].concat() {
        assert!(finished.stderr.contains(part), "no {part:?} in: {}", finished.stderr);
    }
}

#[test]
fn a_sink_below_a_file_stops_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = prepare(directory.path(), 1_000);
    std::fs::write(directory.path().join("file"), "").unwrap();
    let sink = directory.path().join("file/labelled");
    ends_soon(&config, &sink, &["Not a directory", "name another path"]);
}

/// The tests may run as root, whom no permission stops; a read-only file system stops everyone.
#[test]
fn a_sink_on_a_read_only_file_system_stops_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = prepare(directory.path(), 1_000);
    let disk = directory.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "ro,size=64k", "tmpfs"]).arg(&disk).output();
    match mounted {
        Ok(output) if output.status.success() => {
            let _unmounted = Unmount(&disk);
            ends_soon(
                &config,
                &disk.join("labelled"),
                &["Read-only file system", "mount the file system writable"],
            );
        }
        Ok(output) => skipped(Part::Mount, String::from_utf8_lossy(&output.stderr)),
        Err(error) => skipped(Part::Mount, error),
    }
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
