"""Writes `features.json` into each checkpoint beside this file: what PyTorch computes as features of its texts.

They are pooled from the last layer of the encoder, without a head, for the padded batch of all texts of `expected.json`:
`mean` and `max` over the tokens, and `cls`, the first token.

Run with `torch` and `transformers` installed, after `huggingface.py`: `python model/tests/references/features.py [NAME ...]`.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent


def features(directory, expected):
    model = transformers.AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    ids = expected["ids"]
    longest = max(map(len, ids))
    pad = model.config.pad_token_id
    batch = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        hidden = model(input_ids=batch, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).float()
    mean = (hidden * weights).sum(1) / weights.sum(1)
    largest = hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).max(1).values
    rows = {"mean": mean, "max": largest, "cls": hidden[:, 0]}
    return {name: [[round(value, 6) for value in row] for row in values.tolist()] for name, values in rows.items()}


def main():
    for directory in sorted(path.parent for path in HERE.glob("*/expected.json")):
        if len(sys.argv) > 1 and directory.name not in sys.argv[1:]:
            continue
        expected = json.loads((directory / "expected.json").read_text())
        (directory / "features.json").write_text(json.dumps(features(directory, expected)) + "\n")


if __name__ == "__main__":
    main()
