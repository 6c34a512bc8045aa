"""Writes `failing_graph/`: a classifier that really fails in ONNX Runtime on some words.

`poison` is looked up outside its table, `nan` makes the logits of its text not finite, and two `huge` in one
call ask for more memory than a machine can address. Any other text is classified.

Run with `onnx` and `numpy` installed: `python model/tests/references/failing_graph.py`.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ["[PAD]", "[UNK]", "poison", "nan", "huge", "bank", "shares", "match", "goal"]
LABELS = ["finance", "sports"]
OUTSIDE = 9999
# 128 TiB of float32: the address space of a process ends there.
UNADDRESSABLE = 1 << 45


def tables():
    position = np.arange(len(WORDS), dtype=np.int64)
    position[WORDS.index("poison")] = OUTSIDE
    embeddings = np.zeros((len(WORDS), 2), dtype=np.float32)
    embeddings[[WORDS.index("bank"), WORDS.index("shares")]] = [2, 0]
    embeddings[[WORDS.index("match"), WORDS.index("goal")]] = [0, 2]
    embeddings[WORDS.index("nan")] = np.nan
    constants = {
        "position": position,
        "embeddings": embeddings,
        "head": np.eye(2, dtype=np.float32),
        "tokens_axis": np.array([1]),
        "width_axis": np.array([2]),
        "huge": np.array(WORDS.index("huge")),
        "zero": np.array(0),
        "one": np.array(1),
        "one_axis": np.array([1]),
        "unaddressable": np.array(UNADDRESSABLE),
    }
    return [numpy_helper.from_array(value, name) for name, value in constants.items()]


def nodes():
    node = helper.make_node
    return [
        node("Gather", ["position", "input_ids"], ["positions"]),
        node("Gather", ["embeddings", "positions"], ["words"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "width_axis"], ["column_mask"]),
        node("Mul", ["words", "column_mask"], ["masked"]),
        node("ReduceSum", ["masked", "tokens_axis"], ["total"], keepdims=0),
        node("ReduceSum", ["mask", "tokens_axis"], ["count"]),
        node("Div", ["total", "count"], ["mean"]),
        node("MatMul", ["mean", "head"], ["scores"]),
        node("Equal", ["input_ids", "huge"], ["is_huge"]),
        node("Cast", ["is_huge"], ["huge_ones"], to=TensorProto.INT64),
        node("ReduceSum", ["huge_ones"], ["huge_count"], keepdims=0),
        node("Sub", ["huge_count", "one"], ["beyond_one"]),
        node("Max", ["beyond_one", "zero"], ["excess"]),
        node("Mul", ["excess", "unaddressable"], ["size"]),
        node("Reshape", ["size", "one_axis"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["ballast"]),
        node("ReduceSum", ["ballast"], ["nothing"], keepdims=0),
        node("Add", ["scores", "nothing"], ["logits"]),
    ]


def main():
    directory = Path(__file__).parent / "failing_graph"
    directory.mkdir(exist_ok=True)
    matrix = ["rows", "tokens"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, matrix)
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", len(LABELS)])]
    graph = helper.make_graph(nodes(), "failing", inputs, outputs, tables())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, directory / "model.onnx")
    config = {"model_type": "failing", "id2label": dict(enumerate(LABELS)), "max_position_embeddings": 128}
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1) + "\n")


main()
