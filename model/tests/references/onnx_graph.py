"""Writes `bert_graph/model.onnx`: the checkpoint `bert_classifier` as PyTorch's own exporter writes it.

Run with `torch`, `transformers` and `onnx` installed: `python model/tests/references/onnx_graph.py`.
"""

from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(**dict(zip(INPUTS, inputs)), return_dict=False)[0]


def main():
    classifier = transformers.AutoModelForSequenceClassification
    model = classifier.from_pretrained(HERE / "bert_classifier", attn_implementation="eager").eval()
    ids = torch.ones(2, 5, dtype=torch.long)
    path = HERE / "bert_graph" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    torch.onnx.export(
        Logits(model),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        path,
        input_names=INPUTS,
        output_names=["logits"],
        dynamic_axes={name: {0: "rows", 1: "tokens"} for name in INPUTS},
        opset_version=17,
        dynamo=False,
    )


main()
