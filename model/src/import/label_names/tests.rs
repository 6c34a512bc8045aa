use serde_json::json;

use super::*;

const FOUR: Option<Outputs<'static>> = Some(Outputs { number: 4, origin: "`classifier.weight`" });

fn labels(
    config: &Value,
    outputs: Option<Outputs<'_>>,
    chosen: Option<&[&str]>,
) -> Result<Vec<String>, String> {
    let names: LabelNames = serde_json::from_value(config.clone()).unwrap();
    let chosen = chosen.map(|ids| Labels::from_ids(ids.to_vec()).unwrap());
    names.labels(outputs, chosen.as_ref()).map(|labels| labels.ids())
}

#[test]
fn names_are_those_of_the_file_or_placeholders_for_each_output() {
    let placeholders = ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"];
    let cases = [
        (json!({}), placeholders),
        (json!({"num_labels": 4}), placeholders),
        (json!({"id2label": null, "label2id": {}, "num_labels": null}), placeholders),
        (json!({"id2label": {"2": "c", "0": "a", "3": "d", "1": "b"}}), ["a", "b", "c", "d"]),
        (json!({"id2label": {"2": 2, "0": 0, "3": 3, "1": 1}}), ["0", "1", "2", "3"]),
        (json!({"id2label": {"0": -1, "1": 0, "2": 1.5, "3": true}}), ["-1", "0", "1.5", "true"]),
        (json!({"id2label": ["a", "b", 3, "d"]}), ["a", "b", "3", "d"]),
        (
            json!({"label2id": {"vote": 3, "money": 0, "sport": 1, "weather": 2}}),
            ["money", "sport", "weather", "vote"],
        ),
        (json!({"id2label": {}, "label2id": {"b": "1", "a": "0", "d": 3, "c": "2"}}), ["a", "b", "c", "d"]),
        // As in `transformers`, `id2label` wins over both others.
        (
            json!({"id2label": ["a", "b", "c", "d"], "label2id": {"a": 3, "b": 2, "c": 1, "d": 0}, "num_labels": 2}),
            ["a", "b", "c", "d"],
        ),
        (json!({"id2label": ["a", "b", "c", "d"], "label2id": "?"}), ["a", "b", "c", "d"]),
    ];
    for (config, expected) in cases {
        assert_eq!(labels(&config, FOUR, None).unwrap(), expected, "{config}");
    }
}

#[test]
fn chosen_labels_are_taken_whatever_the_file_says() {
    let chosen: &[&str] = &["w", "x", "y", "z"];
    for config in [
        json!({}),
        json!({"num_labels": 2}),
        json!({"id2label": {"0": "a", "10": "b"}}),
        json!({"id2label": ["a", "a", "", "d"]}),
        json!({"id2label": 7, "label2id": "?"}),
        json!({"problem_type": "single_label_classification", "id2label": ["a", "b"]}),
    ] {
        assert_eq!(labels(&config, FOUR, Some(chosen)).unwrap(), chosen, "{config}");
        assert_eq!(labels(&config, None, Some(&["p", "q"])).unwrap(), ["p", "q"], "{config}");
    }
    for (few_or_many, message) in [
        (
            &["a", "b"][..],
            "2 labels are given but the head has 4 outputs (`classifier.weight`); give 4 labels (--labels)",
        ),
        (&["a", "b", "c", "d", "e"][..], "5 labels are given but the head has 4 outputs"),
    ] {
        let error = labels(&json!({}), FOUR, Some(few_or_many)).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn names_that_fit_no_head_are_refused_with_key_value_and_advice() {
    let cases = [
        (
            json!({"id2label": {"10": "x", "2": "c", "0": "a", "1": "b"}}),
            "`id2label` does not number labels from 0 without a gap: 3 is missing before 10 (`x`)",
        ),
        (json!({"id2label": {"1": "a", "2": "b", "3": "c", "4": "d"}}), "0 is missing before 1 (`a`)"),
        (json!({"id2label": {"1": "a", "01": "b"}}), "0 is missing before 1"),
        (json!({"id2label": {"0": "a", "00": "b"}}), "`id2label` gives the number 0 to both"),
        (
            json!({"label2id": {"a": 0, "b": 1, "c": 1, "d": 2}}),
            "`label2id` gives the number 1 to both `b` and `c`",
        ),
        (
            json!({"label2id": {"a": 0, "b": 2}}),
            "`label2id` does not number labels from 0 without a gap: 1 is missing",
        ),
        (
            json!({"id2label": {"0": "LABEL", "1": "LABEL", "2": "other", "3": ""}}),
            "in `id2label` 0 and 1 are both named `LABEL`, the name of 3 is empty",
        ),
        (
            json!({"id2label": ["a", "b", "c"]}),
            "`id2label` names 3 labels but the head has 4 outputs (`classifier.weight`)",
        ),
        (json!({"label2id": {"a": 0, "b": 1}}), "`label2id` names 2 labels but the head has 4 outputs"),
        (json!({"num_labels": 3}), "`num_labels` is 3 but the head has 4 outputs"),
        (json!({"num_labels": "many"}), "`num_labels` is \"many\" but the head has 4 outputs"),
        (
            json!({"id2label": {"sports": 0}}),
            "`id2label` has the key `sports` (for 0), which is no number from 0",
        ),
        (
            json!({"id2label": {"-1": "a"}}),
            "`id2label` has the key `-1` (for \"a\"), which is no number from 0",
        ),
        (json!({"id2label": {"0": null}}), "`id2label` has null for 0, which is no name"),
        (json!({"id2label": {"0": {"en": "a"}}}), "`id2label` has {\"en\":\"a\"} for 0, which is no name"),
        (json!({"id2label": "a,b"}), "`id2label` is \"a,b\" but must map numbers to names"),
        (json!({"label2id": ["a"]}), "`label2id` is [\"a\"] but must map names to numbers"),
        (json!({"label2id": {"a": 0.5}}), "`label2id` has 0.5 for `a`, which is no number from 0"),
    ];
    for (config, message) in cases {
        let error = labels(&config, FOUR, None).unwrap_err();
        assert!(error.contains(message), "`{message}` is not in: {error}");
        assert!(error.ends_with("give 4 labels (--labels) in the order of the outputs"), "{error}");
    }
}

#[test]
fn a_head_that_does_not_choose_one_label_is_refused_even_with_chosen_labels() {
    let one = Some(Outputs { number: 1, origin: "`classifier.weight`" });
    let cases = [
        (
            json!({"id2label": {"0": "relevance"}}),
            one,
            "the head has 1 output (`classifier.weight`): it gives a score",
        ),
        (
            json!({"problem_type": "regression"}),
            one,
            "the head has 1 output (`classifier.weight`), and `problem_type` is `regression`",
        ),
        (
            json!({"problem_type": "regression"}),
            FOUR,
            "`problem_type` is `regression` but must be `single_label",
        ),
        (
            json!({"problem_type": "multi_label_classification"}),
            FOUR,
            "`problem_type` is `multi_label_classification`",
        ),
    ];
    for (config, outputs, message) in cases {
        for chosen in [None, Some(&["a", "b", "c", "d"][..])] {
            let error = labels(&config, outputs, chosen).unwrap_err();
            assert!(error.contains(message), "`{message}` is not in: {error}");
        }
    }
}

#[test]
fn an_encoder_without_a_head_has_as_many_labels_as_the_file_says() {
    for (config, expected) in [
        (json!({}), vec!["LABEL_0", "LABEL_1"]),
        (json!({"num_labels": 1, "problem_type": "regression"}), vec!["LABEL_0", "LABEL_1"]),
        (json!({"num_labels": 3}), vec!["LABEL_0", "LABEL_1", "LABEL_2"]),
        (json!({"id2label": {"0": "a", "1": "b"}}), vec!["a", "b"]),
    ] {
        assert_eq!(labels(&config, None, None).unwrap(), expected, "{config}");
    }
    let error = labels(&json!({"id2label": {"0": "a"}}), None, None).unwrap_err();
    let message =
        "`id2label` names 1 label but a classifier has at least 2; correct it, or give labels (--labels)";
    assert!(error.starts_with(message), "{error}");
}
