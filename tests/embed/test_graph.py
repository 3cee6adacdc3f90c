"""The fused graph computes what BERT is defined to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from embed import tiny
from onnx import TensorProto, helper

from vstore import embed
from vstore.embed.architecture import Architecture
from vstore.embed.graph import build_graph
from vstore.embed.registry import Pooling
from vstore.embed.weights import read_weights

TEXTS = ["the cat sat on the mats", "", "a dog", "the dog sat on a cat : the cat sat", "unknown words"]
# By hand from tiny.WORDS: [CLS] = 2, [SEP] = 3, words by their place, unknown ones 1.
IDS = [
    [2, 6, 7, 8, 9, 6, 10, 11, 3],
    [2, 3],
    [2, 12, 13, 3],
    [2, 6, 13, 8, 9, 12, 7, 5, 6, 7, 8, 3],
    [2, 1, 1, 3],
]
ARCHITECTURE = Architecture(
    layers=tiny.LAYERS,
    heads=tiny.HEADS,
    hidden=tiny.HIDDEN,
    intermediate=tiny.WIDE,
    positions=tiny.POSITIONS,
    token_types=2,
    vocabulary=len(tiny.WORDS),
    epsilon=tiny.EPSILON,
)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_equals_bert_written_out_in_numpy(tmp_path: Path, pooling: str) -> None:
    """Texts of all lengths go through in one padded batch, so the attention mask is proven too."""
    folder = tiny.make_folder(tmp_path / "model", pooling={"pooling_mode": pooling})
    vectors = embed.load(str(folder)).embed_documents(TEXTS)
    expected = np.array([tiny.forward(tiny.weights(), ids, pooling) for ids in IDS])
    assert np.abs(vectors - expected).max() < 1e-5


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_half_precision_weights_are_widened(tmp_path: Path, kind: str) -> None:
    rounded = {}
    for name, tensor in tiny.weights().items():
        if kind == "F16":
            rounded[name] = tensor.astype(np.float16).astype(np.float32)
        else:
            rounded[name] = ((tensor.view(np.uint32) >> 16) << 16).view(np.float32)
    folder = tiny.make_folder(tmp_path / "model", kind=kind)
    vectors = embed.load(str(folder)).embed_documents(TEXTS)
    expected = np.array([tiny.forward(rounded, ids, "mean") for ids in IDS])
    assert np.abs(vectors - expected).max() < 1e-5


def test_the_graph_holds_no_weights() -> None:
    """It stays small whatever the model's size: the word embeddings here would have 400 MB."""
    assert len(build_graph(ARCHITECTURE, "mean", {"embeddings.word": (100_000, 1_000)})) < 10_000


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_is_the_one_the_onnx_package_writes(pooling: Pooling) -> None:
    shapes = {"embeddings.word": (14, 8), "layer.0.output.bias": (8,)}
    graph = onnx.load_from_string(build_graph(ARCHITECTURE, pooling, shapes))
    assert graph == graph_by_onnx(pooling, shapes)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_passes_the_checks_of_the_onnx_package(tmp_path: Path, pooling: Pooling) -> None:
    """Every input is computed before it is used, once; ONNX's own operators get what they ask for."""
    weights = read_weights(tiny.make_folder(tmp_path / "model") / "model.safetensors", ARCHITECTURE)
    graph = build_graph(ARCHITECTURE, pooling, {name: tensor.shape for name, tensor in weights.items()})
    (tmp_path / "given-at-load").touch()  # the checker wants a file where the weights are said to be
    (tmp_path / "model.onnx").write_bytes(graph)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


def graph_by_onnx(pooling: Pooling, shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """The graph of the tiny BERT, made with the tools of the onnx package."""
    nodes = [
        helper.make_node(
            "EmbedLayerNormalization",
            [
                *("input_ids", "", "embeddings.word", "embeddings.position", ""),
                *("embeddings.norm.weight", "embeddings.norm.bias", "attention_mask"),
            ],
            ["embeddings", "lengths"],
            domain="com.microsoft",
            epsilon=tiny.EPSILON,
        ),
        *layer_by_onnx("layer.0.", "embeddings"),
        *layer_by_onnx("layer.1.", "layer.0.states"),
    ]
    if pooling == "mean":
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "axis"], ["mask_row"]),
            helper.make_node("MatMul", ["mask_row", "layer.1.states"], ["sum_row"]),
            helper.make_node("Squeeze", ["sum_row", "axis"], ["pooled"]),
        ]
        constant = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    else:
        nodes += [helper.make_node("Gather", ["layer.1.states", "first"], ["pooled"], axis=1)]
        constant = helper.make_tensor("first", TensorProto.INT64, [], [0])
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["batch", "sequence"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["batch", "sequence"]),
    ]
    output = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", tiny.HIDDEN])
    place = onnx.StringStringEntryProto(key="location", value="given-at-load")
    weights = [
        TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=1, external_data=[place])
        for name, shape in shapes.items()
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "bert", inputs, [output], [constant, *weights])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def layer_by_onnx(name: str, states: str) -> list[onnx.NodeProto]:
    def own(*names: str) -> list[str]:
        return [name + end for end in names]

    fused, norm = {"domain": "com.microsoft"}, {"domain": "com.microsoft", "epsilon": tiny.EPSILON}
    qkv = own("attention.qkv.weight", "attention.qkv.bias")
    first = own("attention.output.norm.weight", "attention.output.norm.bias", "attention.output.bias")
    second = own("output.norm.weight", "output.norm.bias", "output.bias")
    return [
        helper.make_node("Attention", [states, *qkv, "lengths"], own("attended"), num_heads=tiny.HEADS, **fused),
        helper.make_node("MatMul", own("attended", "attention.output.weight"), own("projected")),
        helper.make_node("SkipLayerNormalization", [*own("projected"), states, *first], own("attention"), **norm),
        helper.make_node("MatMul", own("attention", "intermediate.weight"), own("widened")),
        helper.make_node("BiasGelu", own("widened", "intermediate.bias"), own("activated"), **fused),
        helper.make_node("MatMul", own("activated", "output.weight"), own("narrowed")),
        helper.make_node("SkipLayerNormalization", [*own("narrowed", "attention"), *second], own("states"), **norm),
    ]
