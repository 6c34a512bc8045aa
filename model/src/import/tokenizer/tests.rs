use serde_json::json;

use super::*;

/// A checkpoint directory with a WordPiece `tokenizer.json` of this normalizer.
fn checkpoint(normalizer: &Value, settings: Option<&Value>) -> tempfile::TempDir {
    let words = ["[UNK]", "The", "the", "Z", "z", "##ü", "##u", "##r", "##ich", "央", "央行"];
    let vocabulary: Map<String, Value> =
        words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    if let Some(settings) = settings {
        std::fs::write(directory.path().join(SETTINGS), settings.to_string()).unwrap();
    }
    directory
}

fn bert(lower: bool) -> Value {
    json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
        "lowercase": lower,
    })
}

fn ids(normalizer: &Value, settings: Option<&Value>, model_type: Option<&str>) -> Result<Vec<u32>> {
    let directory = checkpoint(normalizer, settings);
    let tokenizer = open(&directory.path().join("tokenizer.json"), model_type)?;
    // What a bundle gets is the file that `save` writes, so that is what is tested.
    tokenizer.save(directory.path())?;
    let saved = Tokenizer::from_file(&directory.path().join("tokenizer.json"))?;
    let ids = saved.encode("The Zürich 央行", 99)?.ids;
    assert_eq!(tokenizer.encode("The Zürich 央行", 99)?.ids, ids);
    Ok(ids)
}

const LOWER: [u32; 7] = [2, 4, 6, 7, 8, 9, 0];
const CASED: [u32; 7] = [1, 3, 5, 7, 8, 9, 0];

#[test]
fn settings_replace_the_normalizer_of_bert_as_in_transformers() {
    // The rows are what `AutoTokenizer.from_pretrained` of transformers 4.57.3 and 5.24.0 made of these files, but
    // for the rows without `do_lower_case`, where `tokenizer.json` counts here.
    let lower_but_accents = [2, 4, 5, 7, 8, 9, 0].to_vec();
    let lower_whole_chinese = [2, 4, 6, 7, 8, 10].to_vec();
    let cases = [
        (true, json!({"do_lower_case": true}), LOWER.to_vec()),
        (true, json!({"do_lower_case": false}), CASED.to_vec()),
        (false, json!({"do_lower_case": true}), LOWER.to_vec()),
        (false, json!({"do_lower_case": false}), CASED.to_vec()),
        (true, json!({}), LOWER.to_vec()),
        (false, json!({}), CASED.to_vec()),
        (false, json!({"do_lower_case": null}), CASED.to_vec()),
        (true, json!({"do_lower_case": false, "tokenizer_class": "BertTokenizer"}), CASED.to_vec()),
        (true, json!({"do_lower_case": false, "tokenizer_class": "ElectraTokenizerFast"}), CASED.to_vec()),
        (true, json!({"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}), LOWER.to_vec()),
        (false, json!({"do_lower_case": true, "tokenizer_class": "PreTrainedTokenizerFast"}), CASED.to_vec()),
        (true, json!({"do_lower_case": true, "strip_accents": false}), lower_but_accents),
        (true, json!({"do_lower_case": true, "strip_accents": null}), LOWER.to_vec()),
        (true, json!({"tokenize_chinese_chars": false}), lower_whole_chinese),
    ];
    for (lower, settings, expected) in cases {
        for model_type in ["bert", "distilbert", "electra", "ernie", "megatron-bert", "mpnet"] {
            let got = ids(&bert(lower), Some(&settings), Some(model_type)).unwrap();
            assert_eq!(got, expected, "lowercase {lower}, {settings}");
        }
    }
    assert_eq!(ids(&bert(false), None, Some("bert")).unwrap(), CASED);
    assert_eq!(ids(&bert(true), None, Some("bert")).unwrap(), LOWER);
}

#[test]
fn a_null_for_accents_is_a_value_of_its_own() {
    let mut keeps_accents = bert(true);
    keeps_accents["strip_accents"] = json!(false);
    let kept = ids(&keeps_accents, Some(&json!({"do_lower_case": true})), Some("bert")).unwrap();
    assert_eq!(kept, [2, 4, 5, 7, 8, 9, 0]);
    let settings = json!({"do_lower_case": true, "strip_accents": null});
    assert_eq!(ids(&keeps_accents, Some(&settings), Some("bert")).unwrap(), LOWER);
}

#[test]
fn other_tokenizers_are_what_their_file_says() {
    for model_type in [Some("roberta"), Some("xlm-roberta"), Some("camembert"), Some("deberta"), None] {
        let settings = json!({"do_lower_case": false});
        assert_eq!(ids(&bert(true), Some(&settings), model_type).unwrap(), LOWER, "{model_type:?}");
    }
}

#[test]
fn contradictions_that_releases_resolve_differently_are_refused() {
    let sequence = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]});
    let nfc = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]});
    let lowercase = json!({"type": "Lowercase"});
    for (normalizer, lower_case, does) in [
        (&sequence, false, "lower-cases texts"),
        (&lowercase, false, "lower-cases texts"),
        (&nfc, true, "does not lower-case texts"),
        (&Value::Null, true, "does not lower-case texts"),
    ] {
        let settings = json!({ LOWER_CASE: lower_case });
        let error = ids(normalizer, Some(&settings), Some("bert")).unwrap_err().to_string();
        let message = format!(
            "tokenizer_config.json: `do_lower_case` is {lower_case} but the `normalizer` of tokenizer.json {does}"
        );
        assert!(error.contains(&message), "`{message}` is not in: {error}");
        assert!(error.contains(&format!("set `do_lower_case` to {}", !lower_case)), "{error}");
        // In agreement, or silent, they are taken as they are.
        for settings in [json!({ LOWER_CASE: !lower_case }), json!({})] {
            assert!(ids(normalizer, Some(&settings), Some("bert")).is_ok(), "{normalizer} {settings}");
        }
    }
}

#[test]
fn a_contradiction_about_pieces_is_refused() {
    let sequence = json!({"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "Lowercase"}]});
    for model_type in ["albert", "deberta-v2"] {
        let read = |settings: &Value| ids(&sequence, Some(settings), Some(model_type));
        for settings in [json!({}), json!({ LOWER_CASE: true })] {
            assert!(read(&settings).is_ok(), "{settings}");
        }
        let error = read(&json!({ LOWER_CASE: false })).unwrap_err().to_string();
        assert!(
            error.contains("`do_lower_case` is false but the `normalizer` of tokenizer.json lower-cases"),
            "{error}"
        );
        // Chinese models have BERT's tokenizer.
        let class = json!({ LOWER_CASE: false, "tokenizer_class": "BertTokenizer" });
        assert_eq!(ids(&bert(true), Some(&class), Some(model_type)).unwrap(), CASED);
    }
}

#[test]
fn a_tokenizer_that_needs_jieba_is_refused() {
    for (settings, model_type) in [
        (None, "roformer"),
        (Some(json!({"tokenizer_class": "RoFormerTokenizer"})), "bert"),
        (Some(json!({"tokenizer_class": "RoFormerTokenizerFast"})), "roformer"),
    ] {
        let error = ids(&bert(true), settings.as_ref(), Some(model_type)).unwrap_err().to_string();
        assert!(
            error.contains("the tokenizer is a RoFormerTokenizer, which cuts texts into words with jieba"),
            "{error}"
        );
        let directory = checkpoint(&bert(true), settings.as_ref());
        assert!(check(directory.path(), Some(model_type)).unwrap_err().to_string().contains("jieba"));
    }
    let characters = json!({"tokenizer_class": "BertTokenizer"});
    assert_eq!(ids(&bert(true), Some(&characters), Some("roformer")).unwrap(), LOWER);
}

#[test]
fn a_setting_of_another_type_is_refused_by_its_key() {
    for key in [LOWER_CASE, "strip_accents", "tokenize_chinese_chars"] {
        let error = ids(&bert(true), Some(&json!({ key: "no" })), Some("bert")).unwrap_err().to_string();
        let message = format!("tokenizer_config.json: `{key}` is \"no\" but must be true or false");
        assert!(error.contains(&message), "`{message}` is not in: {error}");
    }
    let directory = checkpoint(&bert(true), None);
    std::fs::write(directory.path().join(SETTINGS), "[").unwrap();
    let error = open(&directory.path().join("tokenizer.json"), Some("bert")).err().unwrap().to_string();
    assert!(error.contains("invalid JSON in ") && error.contains(SETTINGS), "{error}");
}
