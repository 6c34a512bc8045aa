//! Loading ONNX Runtime, in a process of its own: a process loads it once, and the order matters.

use std::path::Path;

use fenliu_model::runtime;

#[test]
fn a_failed_load_names_the_places_and_can_be_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join(format!("libonnxruntime{}", std::env::consts::DLL_SUFFIX));
    std::fs::write(&broken, "not a library").unwrap();
    let missing = directory.path().join("missing.so");
    for (named, tried) in [(directory.path(), &broken), (&missing, &missing)] {
        let message = runtime::load(Some(named)).unwrap_err().to_string();
        for part in [tried.to_str().unwrap(), "make onnxruntime", "ORT_DYLIB_PATH"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }

    let loaded = runtime::load(None).unwrap();
    assert!(loaded.version().starts_with("1."), "{}", loaded.version());
    for same in [None, Some(loaded.path())] {
        assert_eq!(runtime::load(same).unwrap().path(), loaded.path());
    }
    let message = runtime::load(Some(Path::new("elsewhere.so"))).unwrap_err().to_string();
    assert!(message.contains("elsewhere.so") && message.contains("has already loaded"), "{message}");
}
