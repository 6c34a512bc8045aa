"""Writes the tiny checkpoints beside this file, and what PyTorch computes with them.

Each directory is a checkpoint as `transformers` saves it, with random weights large enough that every part of
the network matters, and `expected.json`: texts, their token ids, and for the padded batch of all texts

- `logits`, of a checkpoint with a classification head;
- `mean` (over the tokens of the last layer) and `first_token` (of the last layer), of one without.

`features.py` adds `features.json`.

Run with `torch` and `transformers` installed: `python model/tests/references/huggingface.py [NAME ...]`. Without names
all directories are written anew, with other random weights if the release of `torch` is another one.
"""

import json
import shutil
import sys
from pathlib import Path

import tokenizers
import torch
import transformers

HERE = Path(__file__).parent
TEXTS = [
    "The bank cut its rate",
    "A",
    "Zürich: shares rose 3.5% after the bank's cut, then fell",
    "央行降息 bank",
    "",
    "rate rate rate rate rate rate rate rate rate rate rate rate rate rate rate",
]
# Nearly as many tokens as there are positions, for what depends on the distance between tokens.
LONG_TEXTS = [" ".join(["the bank cut"] * 18) + " 3.5%"]
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the The bank cut its rate rates a A shares rose after then fell zurich Z 央 行 降 息 . , : % ' 3 5"
PIECES = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789ü"] + list("abcdefghijklmnopqrstuvwxyz")
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=72)


def randomise(model):
    """Weights of the size of a trained network's; the library's own first ones leave the logits near zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # Sines and cosines of positions.
                continue
            is_norm_weight = any(part in name.lower() for part in ["norm", "ln."]) and name.endswith("weight")
            parameter.copy_(torch.randn_like(parameter) * 0.5 + (1.0 if is_norm_weight else 0.0))


def vocabulary(directory, **settings):
    lines = dict.fromkeys(WORDS.split() + PIECES)
    (directory / "vocab.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    reader = transformers.models.bert.tokenization_bert.WordPiece.read_file
    return transformers.BertTokenizer(vocab=reader(str(directory / "vocab.txt")), **settings)


def fast_wordpiece(directory):
    tokenizer = vocabulary(directory, do_lower_case=True)
    for file in ["vocab.txt", "tokenizer_config.json"]:
        (directory / file).unlink()
    tokenizer._tokenizer.save(str(directory / "tokenizer.json"))
    return tokenizer


def fast_bpe(directory):
    tokenizer = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(TEXTS, vocab_size=290, min_frequency=2, special_tokens=special, show_progress=False)
    ids = {token: tokenizer.token_to_id(token) for token in special}
    tokenizer._tokenizer.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, pad_token="<pad>", unk_token="<unk>"
    )


def bert_classifier(directory):
    labels = {0: "finance", 1: "sports", 2: "weather"}
    config = transformers.BertConfig(
        vocab_size=100, id2label=labels, label2id={v: k for k, v in labels.items()}, type_vocab_size=2, **SIZES
    )
    return transformers.BertForSequenceClassification(config), fast_wordpiece(directory)


def bert_cased_classifier(directory):
    """As older checkpoints are: `vocab.txt` and `pytorch_model.bin`."""
    config = transformers.BertConfig(vocab_size=100, hidden_act="gelu_new", **SIZES)
    return transformers.BertForSequenceClassification(config), vocabulary(directory, do_lower_case=False)


def bert_encoder(directory):
    config = transformers.BertConfig(vocab_size=100, hidden_act="relu", **SIZES)
    return transformers.BertModel(config), vocabulary(directory, do_lower_case=True)


def roberta_classifier(directory):
    config = transformers.RobertaConfig(
        vocab_size=290, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=4, **SIZES
    )
    return transformers.RobertaForSequenceClassification(config), fast_bpe(directory)


def distilbert_classifier(directory):
    config = transformers.DistilBertConfig(
        vocab_size=100, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=72, num_labels=3
    )
    return transformers.DistilBertForSequenceClassification(config), fast_wordpiece(directory)


def electra_classifier(directory):
    config = transformers.ElectraConfig(vocab_size=100, embedding_size=12, num_labels=2, **SIZES)
    return transformers.ElectraForSequenceClassification(config), fast_wordpiece(directory)


def unigram(directory, class_, special, **settings):
    """A tokenizer of SentencePiece's kind, whose special tokens have the first ids."""
    model = tokenizers.Tokenizer(tokenizers.models.Unigram())
    model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(vocab_size=120, special_tokens=[], show_progress=False)
    model.train_from_iterator(TEXTS + LONG_TEXTS, trainer)
    pieces = [tuple(piece) for piece in json.loads(model.to_str())["model"]["vocab"]]
    tokenizer = class_(vocab=[(token, 0.0) for token in special] + pieces[:100], **settings)
    tokenizer.save_pretrained(directory)
    return tokenizer


def wordpiece(directory, class_=transformers.BertTokenizer, special=WORDS.split()[:5]):
    lines = dict.fromkeys(special + WORDS.split()[5:] + PIECES)
    tokenizer = class_(vocab={token: number for number, token in enumerate(lines)})
    tokenizer.save_pretrained(directory)
    return tokenizer


def camembert_classifier(directory):
    special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"]
    tokenizer = unigram(directory, transformers.CamembertTokenizer, special)
    config = transformers.CamembertConfig(vocab_size=len(tokenizer), type_vocab_size=1, num_labels=3, **SIZES)
    return transformers.CamembertForSequenceClassification(config), tokenizer


def ernie_classifier(directory):
    config = transformers.ErnieConfig(vocab_size=100, use_task_id=True, num_labels=3, **SIZES)
    return transformers.ErnieForSequenceClassification(config), wordpiece(directory)


def albert_classifier(directory):
    """Four layers in two groups, whose layers are shared."""
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = unigram(directory, transformers.AlbertTokenizer, special)
    sizes = SIZES | dict(num_hidden_layers=4)
    config = transformers.AlbertConfig(
        vocab_size=len(tokenizer), embedding_size=12, num_hidden_groups=2, num_labels=3, **sizes
    )
    return transformers.AlbertForSequenceClassification(config), tokenizer


def mpnet_classifier(directory):
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    config = transformers.MPNetConfig(vocab_size=100, num_labels=3, **SIZES)
    tokenizer = wordpiece(directory, transformers.MPNetTokenizer, special)
    return transformers.MPNetForSequenceClassification(config), tokenizer


def modernbert(directory, **settings):
    tokenizer = fast_bpe(directory)
    config = transformers.ModernBertConfig(
        vocab_size=290, pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
        local_attention=8, num_labels=3, **SIZES | dict(num_hidden_layers=4), **settings,
    )
    return transformers.ModernBertForSequenceClassification(config), tokenizer


def modernbert_classifier(directory):
    return modernbert(directory, classifier_pooling="mean")


def modernbert_biased_classifier(directory):
    """All biases, the first token, and another order of layers with other rotations."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
    rotations = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in zip(kinds, [300.0, 5000.0])}
    biases = dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True)
    return modernbert(
        directory, classifier_activation="relu", hidden_activation="gelu_pytorch_tanh", layer_types=kinds,
        rope_parameters=rotations, **biases,
    )


def deberta(directory, **settings):
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer = unigram(directory, transformers.DebertaV2Tokenizer, special)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer), relative_attention=True, num_labels=3, **SIZES, **settings
    )
    return transformers.DebertaV2ForSequenceClassification(config), tokenizer


def deberta_v2_classifier(directory):
    """As DeBERTa v3 is: logarithmic buckets, shared projections."""
    return deberta(
        directory, pos_att_type=["p2c", "c2p"], share_att_key=True, position_buckets=8, norm_rel_ebd="layer_norm",
        position_biased_input=False, type_vocab_size=0,
    )


def deberta_v2_conv_classifier(directory):
    """As DeBERTa v2 XLarge is, with a convolution; and with everything that the other one lacks."""
    return deberta(
        directory, pos_att_type="c2p|p2c", share_att_key=False, max_relative_positions=6, type_vocab_size=2,
        position_biased_input=True, conv_kernel_size=3, conv_act="gelu", embedding_size=12, pooler_hidden_act="tanh",
    )


def megatron_bert_classifier(directory):
    config = transformers.MegatronBertConfig(vocab_size=100, num_labels=3, **SIZES)
    return transformers.MegatronBertForSequenceClassification(config), wordpiece(directory)


def roformer_classifier(directory):
    """With BERT's tokenizer, as those of characters have."""
    config = transformers.RoFormerConfig(vocab_size=100, embedding_size=12, num_labels=3, **SIZES)
    return transformers.RoFormerForSequenceClassification(config), wordpiece(directory)


def save(model, directory, pickle):
    if not pickle:
        return model.save_pretrained(directory)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(directory)
    torch.save(model.state_dict(), directory / "pytorch_model.bin")


def expected(model, tokenizer, texts):
    ids = [tokenizer(text)["input_ids"] for text in texts]
    longest = max(map(len, ids))
    pad = model.config.pad_token_id
    batch = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        output = model(input_ids=batch, attention_mask=mask)
    result = {"texts": texts, "ids": ids}
    if hasattr(output, "logits"):
        return result | {"logits": output.logits.tolist()}
    hidden = output.last_hidden_state
    weights = mask.unsqueeze(-1).float()
    mean = (hidden * weights).sum(1) / weights.sum(1)
    return result | {"mean": mean.tolist(), "first_token": hidden[:, 0].tolist()}


# The oldest ones come first and have the short texts, so that they stay as they are.
CASES = [
    (bert_classifier, False, TEXTS),
    (bert_cased_classifier, True, TEXTS),
    (bert_encoder, False, TEXTS),
    (roberta_classifier, False, TEXTS),
    (distilbert_classifier, False, TEXTS),
    (electra_classifier, False, TEXTS),
    (camembert_classifier, False, TEXTS + LONG_TEXTS),
    (ernie_classifier, False, TEXTS + LONG_TEXTS),
    (albert_classifier, False, TEXTS + LONG_TEXTS),
    (mpnet_classifier, False, TEXTS + LONG_TEXTS),
    (modernbert_classifier, False, TEXTS + LONG_TEXTS),
    (modernbert_biased_classifier, False, TEXTS + LONG_TEXTS),
    (deberta_v2_classifier, False, TEXTS + LONG_TEXTS),
    (deberta_v2_conv_classifier, False, TEXTS + LONG_TEXTS),
    (megatron_bert_classifier, False, TEXTS + LONG_TEXTS),
    (roformer_classifier, False, TEXTS + LONG_TEXTS),
]


def main():
    for seed, (make, pickle, texts) in enumerate(CASES):
        if len(sys.argv) > 1 and make.__name__ not in sys.argv[1:]:
            continue
        torch.manual_seed(seed)
        directory = HERE / make.__name__
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        model, tokenizer = make(directory)
        randomise(model)
        model.eval()
        save(model, directory, pickle)
        output = json.dumps(expected(model, tokenizer, texts), ensure_ascii=False)
        (directory / "expected.json").write_text(output + "\n")


if __name__ == "__main__":
    main()
