use candle_core::{DType, Device, Tensor as Saved};

use super::*;

fn vector(values: &[f32]) -> Saved {
    Saved::new(values, &Device::Cpu).unwrap()
}

fn save(directory: &Path, file: &str, tensors: Vec<(&str, Saved)>) {
    let by_name: HashMap<&str, Saved> = tensors.into_iter().collect();
    candle_core::safetensors::save(&by_name, directory.join(file)).unwrap();
}

fn values(tensors: &StoredTensors, name: &str) -> Vec<f32> {
    let (place, file) = tensors.find(name).unwrap();
    tensors.take(name, file.shape(&place.stored).unwrap()).unwrap().values
}

fn refusal(directory: &Path) -> String {
    StoredTensors::read(directory).err().unwrap().to_string()
}

#[test]
fn floats_of_any_width_are_converted_and_old_names_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let exact = [0.5_f32, -2.0, 1.0 / 3.0];
    let of = |dtype| vector(&exact).to_dtype(dtype).unwrap();
    let tensors = vec![
        ("half.gamma", of(DType::F16)),
        ("brain", of(DType::BF16)),
        ("double", of(DType::F64)),
        ("single", of(DType::F32)),
        ("position_ids", Saved::new(&[1_i64, 2], &Device::Cpu).unwrap()),
        ("quantised", Saved::new(&[1_u8, 2], &Device::Cpu).unwrap()),
    ];
    save(directory.path(), "model.safetensors", tensors);
    let tensors = StoredTensors::read(directory.path()).unwrap();
    // A third in 11 and in 8 bits of precision.
    assert_eq!(values(&tensors, "half.weight"), [0.5, -2.0, 0.333_251_95]);
    assert_eq!(values(&tensors, "brain"), [0.5, -2.0, 0.333_984_38]);
    assert_eq!(values(&tensors, "double"), exact);
    assert_eq!(values(&tensors, "single"), exact);
    for (name, kind) in [("position_ids", "I64"), ("quantised", "U8")] {
        let message = tensors.take(name, &[2]).unwrap_err().to_string();
        let expected =
            format!("model.safetensors: tensor `{name}` is of type {kind}, not floats of 16, 32 or 64");
        assert!(message.contains(&expected), "{message}");
    }
    let message = tensors.take("single", &[4]).unwrap_err().to_string();
    assert!(message.contains("tensor `single` has the shape [3] but config.json asks for [4]"), "{message}");
    let message = tensors.rows_and_columns("single").unwrap_err().to_string();
    assert!(message.contains("tensor `single` has the shape [3] but must be a matrix"), "{message}");
}

#[test]
fn a_missing_tensor_is_named_with_one_whose_name_is_alike() {
    let directory = tempfile::tempdir().unwrap();
    save(directory.path(), "model.safetensors", vec![("net.score.weight", vector(&[1.0]))]);
    let tensors = StoredTensors::read(directory.path()).unwrap();
    for (name, message) in [
        ("score.weight", "tensor `score.weight` is not there, but `net.score.weight` is"),
        ("score.bias", "tensor `score.bias` is not there"),
    ] {
        let error = tensors.take(name, &[1]).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn names_that_become_one_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let tensors = vec![("a.weight", vector(&[1.0])), ("a._orig_mod.weight", vector(&[2.0]))];
    save(directory.path(), "model.safetensors", tensors);
    let message = refusal(directory.path());
    assert!(message.contains("are both `a.weight`; remove one"), "{message}");
}

fn index(directory: &Path, map: &str) {
    let content = format!(r#"{{"metadata": {{"total_size": 8}}, "weight_map": {map}}}"#);
    std::fs::write(directory.join("model.safetensors.index.json"), content).unwrap();
}

#[test]
fn shards_are_one_set_of_tensors_and_one_file_comes_before_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    save(path, "a.safetensors", vec![("x", vector(&[1.0])), ("stale", vector(&[9.0]))]);
    save(path, "b.safetensors", vec![("y", vector(&[2.0, 3.0]))]);
    index(path, r#"{"x": "a.safetensors", "y": "b.safetensors"}"#);
    std::fs::write(path.join("pytorch_model.bin"), "not read").unwrap();
    let tensors = StoredTensors::read(path).unwrap();
    assert_eq!(values(&tensors, "x"), [1.0]);
    assert_eq!(values(&tensors, "y"), [2.0, 3.0]);
    assert!(!tensors.has("stale"));
    let message = tensors.take("z", &[1]).unwrap_err().to_string();
    assert!(message.contains("model.safetensors.index.json: tensor `z` is not there"), "{message}");

    save(path, "model.safetensors", vec![("x", vector(&[4.0]))]);
    assert_eq!(values(&StoredTensors::read(path).unwrap(), "x"), [4.0]);
}

#[test]
fn shards_that_are_not_of_one_checkpoint_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    save(path, "a.safetensors", vec![("x", vector(&[1.0]))]);
    std::fs::write(path.join("broken.safetensors"), "no tensors").unwrap();
    for (map, message) in [
        (
            r#"{"x": "a.safetensors", "y": "b.safetensors"}"#,
            "index.json: `weight_map` says that 1 tensors (`y`, …) are in `b.safetensors`, which is not there: copy all",
        ),
        (r#"{"y": "a.safetensors"}"#, "says that `y` is in `a.safetensors`, which does not have it"),
        (r#"{"x": "../a.safetensors"}"#, "in `../a.safetensors`, which is not a file of the same directory"),
        (r#"{"x": "/a.safetensors"}"#, "which is not a file of the same directory"),
        (r#"{"x": ""}"#, "which is not a file of the same directory"),
        (r#"{"x": "broken.safetensors"}"#, "broken.safetensors: "),
        ("{}", "index.json: `weight_map` is empty"),
        ("[]", "invalid JSON in "),
    ] {
        index(path, map);
        let error = refusal(path);
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }
}

#[test]
fn a_pointer_of_git_lfs_is_not_taken_for_weights() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for file in ["model.safetensors", "pytorch_model.bin"] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(file), pointer).unwrap();
        let message = refusal(directory.path());
        let expected = format!("{file}: it is a pointer of Git LFS and not the weights: run `git lfs pull`");
        assert!(message.contains(&expected), "{message}");
    }
}
