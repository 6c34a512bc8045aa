"""Writes the tiny checkpoints beside this file, and what PyTorch computes with them.

Each directory is a checkpoint as `transformers` saves it, with random weights large enough that every part of
the network matters, and `expected.json`: texts, their token ids, and for the padded batch of all texts

- `logits`, of a checkpoint with a classification head;
- `mean` (over the tokens of the last layer) and `first_token` (of the last layer), of one without.

Run with `torch` and `transformers` installed: `python model/tests/references/huggingface.py`.
"""

import json
import shutil
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
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the The bank cut its rate rates a A shares rose after then fell zurich Z 央 行 降 息 . , : % ' 3 5"
PIECES = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789ü"] + list("abcdefghijklmnopqrstuvwxyz")
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=72)


def randomise(model):
    """Weights of the size of a trained network's; the library's own first ones leave the logits near zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm_weight = "norm" in name.lower() and name.endswith("weight")
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


def save(model, directory, pickle):
    if not pickle:
        return model.save_pretrained(directory)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(directory)
    torch.save(model.state_dict(), directory / "pytorch_model.bin")


def expected(model, tokenizer):
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    longest = max(map(len, ids))
    pad = model.config.pad_token_id
    batch = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        output = model(input_ids=batch, attention_mask=mask)
    result = {"texts": TEXTS, "ids": ids}
    if hasattr(output, "logits"):
        return result | {"logits": output.logits.tolist()}
    hidden = output.last_hidden_state
    weights = mask.unsqueeze(-1).float()
    mean = (hidden * weights).sum(1) / weights.sum(1)
    return result | {"mean": mean.tolist(), "first_token": hidden[:, 0].tolist()}


def main():
    cases = [
        (bert_classifier, False),
        (bert_cased_classifier, True),
        (bert_encoder, False),
        (roberta_classifier, False),
        (distilbert_classifier, False),
        (electra_classifier, False),
    ]
    for seed, (make, pickle) in enumerate(cases):
        torch.manual_seed(seed)
        directory = HERE / make.__name__
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        model, tokenizer = make(directory)
        randomise(model)
        model.eval()
        save(model, directory, pickle)
        (directory / "expected.json").write_text(json.dumps(expected(model, tokenizer), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
