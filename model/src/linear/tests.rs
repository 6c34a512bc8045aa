use safetensors::SafeTensors;

use super::*;

const TEXTS: [&str; 4] = ["央行降息 利好银行股", "湖人队夺冠", "Shares rose, again", ""];

fn labels() -> Labels {
    Labels::from_ids(["finance", "sports"]).unwrap()
}

/// An expert that knows all features of [`TEXTS`], with values that differ from each other.
fn expert(user_dict: Option<&str>) -> LinearExpert {
    let features = Features::try_new(FeatureOptions::default(), user_dict.map(str::to_owned)).unwrap();
    let mut keys: Vec<u64> = TEXTS.iter().flat_map(|text| features.keys(text)).collect();
    keys.sort_unstable();
    keys.dedup();
    let value = |place: usize| (place * 37 % 101) as f32 / 7.0;
    let num: Vec<f32> = (0..2 * keys.len()).map(|place| value(place) - 5.0).collect();
    let den: Vec<f32> = (0..2 * keys.len()).map(value).collect();
    LinearExpert::try_new(features, labels(), keys, Matrix::new(&num, &den, vec![0.25, -0.5])).unwrap()
}

#[test]
fn a_text_has_the_logits_of_its_keys_and_without_known_features_the_biases() {
    let expert = expert(None);
    for text in TEXTS {
        assert_eq!(expert.logits(text), expert.logits_of_keys(&expert.features().keys(text)));
    }
    for text in ["", "！？", "天", "unknown"] {
        assert_eq!(expert.logits(text), [0.25, -0.5], "{text}");
    }
    assert_ne!(expert.logits(TEXTS[0]), [0.25, -0.5]);
}

#[test]
fn a_saved_expert_opens_with_equal_bits_and_is_written_with_equal_bytes() {
    let directory = tempfile::tempdir().unwrap();
    for user_dict in [None, Some("利好银行股 n\n")] {
        let expert = expert(user_dict);
        let path = directory.path().join("linear.safetensors");
        expert.save(&path).unwrap();
        let opened = LinearExpert::open(&path, &labels()).unwrap();
        assert_eq!(opened.matrix, expert.matrix);
        assert_eq!(opened.table.keys(), expert.table.keys());
        assert_eq!(opened.features().options(), expert.features().options());
        assert_eq!(opened.features().user_dict(), user_dict);
        for text in TEXTS {
            assert_eq!(opened.logits(text), expert.logits(text));
        }
        let again = directory.path().join("again.safetensors");
        opened.save(&again).unwrap();
        assert_eq!(std::fs::read(again).unwrap(), std::fs::read(&path).unwrap());
    }
}

#[test]
fn other_labels_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("linear.safetensors");
    expert(None).save(&path).unwrap();
    for (ids, message) in [
        (vec!["finance", "sport"], "`labels`: id 1 is `sports` but `sport` is wanted"),
        (vec!["finance", "sports", "tech"], "`labels` has 2 ids but 3 are wanted"),
    ] {
        let error = LinearExpert::open(&path, &Labels::from_ids(ids).unwrap()).unwrap_err().to_string();
        assert!(error.contains("linear.safetensors") && error.contains(message), "{error}");
    }
}

/// The file with the bytes of a tensor changed from `offset` on.
fn damaged(bytes: &[u8], tensor: &str, offset: usize, with: &[u8]) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let start = tensors.tensor(tensor).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize + offset;
    let mut damaged = bytes.to_vec();
    damaged[start..start + with.len()].copy_from_slice(with);
    damaged
}

/// The file with another text of the same length in its header.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut renamed = bytes.to_vec();
    renamed[place..place + to.len()].copy_from_slice(to.as_bytes());
    renamed
}

#[test]
fn damage_is_refused_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("linear.safetensors");
    expert(Some("利好 n\n")).save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    for (bytes, message) in [
        (damaged(&good, "keys", 8, &[0; 8]), "tensor `keys`: value 1 is 0 but must be above the one before"),
        (damaged(&good, "num", 4, &f32::NAN.to_le_bytes()), "tensor `num`: value 1 is NaN"),
        (damaged(&good, "den", 0, &(-1_f32).to_le_bytes()), "tensor `den`: value 0 is -1 but must be from 0"),
        (damaged(&good, "bias", 0, &2e9_f32.to_le_bytes()), "tensor `bias`: value 0 is 2000000000"),
        (damaged(&good, "user_dict", 0, &[0xFF]), "tensor `user_dict`: invalid utf-8"),
        (renamed(&good, "\"num\"", "\"mun\""), "there is no tensor `num`"),
        (renamed(&good, "U64", "I64"), "tensor `keys` is I64 but U64 is wanted"),
        (renamed(&good, "\\\"format\\\":1", "\\\"format\\\":7"), "`format` is 7 but this program reads 1"),
        (renamed(&good, "\\\"nfkc\\\"", "\\\"nfkx\\\""), "unknown field `nfkx`"),
        (renamed(&good, "max_words\\\":2", "max_words\\\":9"), "`max_words` is 9 but must be at most 8"),
        (renamed(&good, "\"linear\"", "\"linaer\""), "its metadata has no `linear`"),
        (good[..good.len() - 1].to_vec(), "linear.safetensors: "),
        (Vec::new(), "linear.safetensors: "),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = LinearExpert::open(&path, &labels()).unwrap_err().to_string();
        assert!(error.contains("linear.safetensors") && error.contains(message), "`{message}`: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(LinearExpert::open(&path, &labels()).unwrap_err().to_string().contains("linear.safetensors"));
}

#[test]
fn shapes_that_do_not_fit_the_keys_are_refused() {
    let features = Features::try_new(FeatureOptions::default(), None).unwrap();
    let matrix = Matrix::new(&[0.0; 2], &[0.0; 2], vec![0.0; 2]);
    let error = LinearExpert::try_new(features, labels(), vec![1, 2], matrix).unwrap_err().to_string();
    assert!(error.contains("have 4 values but 2 x 2 x 2 are wanted"), "{error}");
}

#[test]
fn a_text_of_a_megabyte_is_read_whole() {
    let expert = expert(None);
    let filler = "今天天气不错我们去公园散步。The weather is fine!".repeat(20_000);
    assert_eq!(
        expert.logits(&format!("{filler} 湖人队夺冠")),
        expert.logits(&format!("湖人队夺冠 {filler}"))
    );
    assert_ne!(expert.logits(&format!("{filler} 湖人队夺冠")), expert.logits(&filler));
}
