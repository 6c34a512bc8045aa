//! The names of tensors: those that `transformers` gives to them, and what other programs make of these.

use crate::import::families::ALL;

/// Parts of names that wrappers of PyTorch insert anywhere: `torch.compile`, fully sharded data parallelism, and
/// activation checkpointing.
const INSERTED: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Names that a message lists.
const NAMES_IN_MESSAGES: usize = 3;

/// A name without inserted parts. In files that were converted from TensorFlow, the weight and bias of a
/// normalisation are called `gamma` and `beta`, which are replaced as well.
pub(super) fn canonical(stored: &str) -> String {
    let parts: Vec<&str> = stored.split('.').filter(|part| !INSERTED.contains(part)).collect();
    let name = parts.join(".");
    match name.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => name,
    }
}

/// The name of the object that contained the whole model when it was saved, with its dot, such as `module.`
/// (`DataParallel`) or `model.` (Lightning); `None` if there was none.
///
/// It can be left out only if all tensors lie under it. Otherwise it is not certain which of them belong
/// together, and the checkpoint is refused: `transformers` would take random weights for those that it misses.
///
/// `prefix` is that of the family's encoder, and `tokens` its table of tokens, after the prefix.
pub(super) fn wrapper<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    prefix: &str,
    tokens: &str,
) -> Result<Option<String>, String> {
    let mut tables = names.clone().filter_map(|name| name.strip_suffix(tokens));
    let (Some(table), None) = (tables.next(), tables.next()) else { return Ok(None) };
    // The last part of the name, with its dot: `bert.` is not a part of `distilbert.`.
    let start = table.strip_suffix('.').and_then(|parts| parts.rfind('.')).map_or(0, |dot| dot + 1);
    let (outer, last) = table.split_at(start);
    let wrapper = if last == prefix { outer } else { table };
    if wrapper.is_empty() {
        return Ok(None);
    }
    let mut others = ALL.iter().filter(|family| family.tokens == tokens).map(|family| family.prefix);
    if let Some(other) = others.find(|other| *other == last && *other != prefix) {
        return Err(format!(
            "the encoder's tensors are named `{other}…` but `model_type` in config.json asks for `{prefix}…`: they \
             do not belong together"
        ));
    }
    let mut outside: Vec<&str> = names.filter(|name| !name.starts_with(wrapper)).collect();
    if outside.is_empty() {
        return Ok(Some(wrapper.to_owned()));
    }
    outside.sort_unstable();
    outside.truncate(NAMES_IN_MESSAGES);
    Err(format!(
        "the encoder's tensors lie under `{wrapper}` (as in `{table}{tokens}`) but others do not (`{}`), so it is not \
         certain that they are parts of one model: save the model itself (`model.module.save_pretrained(…)` after \
         training with DataParallel), or rename the tensors",
        outside.join("`, `")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_parts_are_left_out_and_old_names_replaced() {
        for (stored, name) in [
            ("bert.pooler.dense.weight", "bert.pooler.dense.weight"),
            ("_orig_mod.bert.pooler.dense.weight", "bert.pooler.dense.weight"),
            ("bert._orig_mod.pooler.dense.bias", "bert.pooler.dense.bias"),
            ("module._orig_mod.classifier.weight", "module.classifier.weight"),
            (
                "bert.encoder.layer.0._fsdp_wrapped_module._checkpoint_wrapped_module.x",
                "bert.encoder.layer.0.x",
            ),
            ("bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
            ("bert.embeddings.LayerNorm.beta", "bert.embeddings.LayerNorm.bias"),
            ("gamma", "gamma"),
        ] {
            assert_eq!(canonical(stored), name, "{stored}");
        }
    }

    #[test]
    fn a_wrapper_is_left_out_only_if_everything_lies_under_it() {
        let words = "embeddings.word_embeddings.weight";
        let wrapper_of = |names: &[&str]| wrapper(names.iter().copied(), "bert.", words);
        for (names, expected) in [
            (&["bert.embeddings.word_embeddings.weight", "classifier.weight"][..], None),
            (&["embeddings.word_embeddings.weight", "pooler.dense.weight"][..], None),
            (
                &["module.bert.embeddings.word_embeddings.weight", "module.classifier.weight"][..],
                Some("module."),
            ),
            (&["module.embeddings.word_embeddings.weight"][..], Some("module.")),
            (&["a.b.bert.embeddings.word_embeddings.weight", "a.b.classifier.weight"][..], Some("a.b.")),
            (&["my_bert.embeddings.word_embeddings.weight"][..], Some("my_bert.")),
            (&["classifier.weight"][..], None),
            // Two encoders: which one is meant is not known, and the table is then missed by its name.
            (
                &["q.bert.embeddings.word_embeddings.weight", "d.bert.embeddings.word_embeddings.weight"][..],
                None,
            ),
        ] {
            assert_eq!(wrapper_of(names).unwrap().as_deref(), expected, "{names:?}");
        }
        // The encoder of ModernBERT is called as Lightning calls the whole model.
        let modern = |names: &[&str]| {
            wrapper(names.iter().copied(), "model.", "embeddings.tok_embeddings.weight").unwrap()
        };
        assert_eq!(modern(&["model.embeddings.tok_embeddings.weight", "classifier.weight"]), None);
        let wrapped = ["model.model.embeddings.tok_embeddings.weight", "model.classifier.weight"];
        assert_eq!(modern(&wrapped).as_deref(), Some("model."));
        let distilled = "module.distilbert.embeddings.word_embeddings.weight";
        assert_eq!(
            wrapper([distilled].into_iter(), "distilbert.", words).unwrap().as_deref(),
            Some("module.")
        );
        for (names, message) in [
            (
                &["module.bert.embeddings.word_embeddings.weight", "classifier.weight", "classifier.bias"][..],
                "lie under `module.` (as in `module.bert.embeddings.word_embeddings.weight`) but others do not \
                 (`classifier.bias`, `classifier.weight`)",
            ),
            (
                &["roberta.embeddings.word_embeddings.weight"][..],
                "named `roberta.…` but `model_type` in config.json asks for `bert.…`",
            ),
            (&["module.distilbert.embeddings.word_embeddings.weight"][..], "named `distilbert.…`"),
            (&["albert.embeddings.word_embeddings.weight"][..], "named `albert.…`"),
        ] {
            let error = wrapper_of(names).unwrap_err();
            assert!(error.contains(message), "`{message}` is not in: {error}");
        }
    }
}
