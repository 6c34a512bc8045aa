//! The binary runner and the second readers do what tests rely on.

use std::time::Duration;

use fenliu_tests::{binary, readers};

#[test]
fn the_binary_runs_and_says_what_it_is() {
    let finished = binary::run(&["--version"], Duration::from_secs(60)).unwrap();
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stdout.starts_with("fenliu "), "{finished:?}");
}

#[test]
fn the_second_readers_are_there() {
    let answer = readers::python(
        "import duckdb, json, pyarrow, sys\n\
         print(json.dumps([sys.argv[1], duckdb.sql('select 40 + 2').fetchone()[0]]))",
        &["新闻"],
    );
    assert_eq!(answer.unwrap(), serde_json::json!(["新闻", 42]));
}

#[test]
fn a_second_reader_that_fails_shows_its_traceback() {
    let error = readers::python("raise ValueError('no such column')", &[]).unwrap_err();
    assert!(error.to_string().contains("no such column"), "{error}");
}
