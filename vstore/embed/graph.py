"""The BERT encoder as an ONNX graph of fused operators, without its weights.

The operators (domain com.microsoft) are documented in ONNX Runtime's docs/ContribOperators.md. The graph has a few
kilobytes and takes a millisecond to build: weights are handed to the session straight from the safetensors file, so no
second copy of them lies on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vstore.embed.architecture import Architecture
from vstore.embed.onnx_format import (
    FLOAT,
    INT32,
    NodeProto,
    TensorProto,
    encode_external_floats,
    encode_graph,
    encode_integers,
    encode_model,
    encode_node,
    encode_value_info,
)
from vstore.embed.registry import Pooling

Shapes = Mapping[str, tuple[int, ...]]

INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"

_FUSED: Final = "com.microsoft"
_OPSET: Final = 17
_IR_VERSION: Final = 8
_GIVEN_AT_LOAD: Final = "given-at-load"  # no file: the session has the weights before it would look for one


def build_graph(architecture: Architecture, pooling: Pooling, shapes: Shapes) -> bytes:
    """A serialised ONNX model with weights named and shaped as in `shapes`, whose data the session must be given.

    Inputs: int32 `input_ids` and `attention_mask` of shape (batch, sequence), padded on the right. Output: float32
    (batch, hidden), the pooled token states. Mean pooling gives their sum, which has the direction of their mean.
    """
    encoder, states = _encoder(architecture)
    pool, constants = _mean(states) if pooling == "mean" else _cls(states)
    graph = encode_graph(
        "bert",
        [*encoder, *pool],
        [encode_value_info(name, INT32, ["batch", "sequence"]) for name in (INPUT_IDS, ATTENTION_MASK)],
        [encode_value_info("pooled", FLOAT, ["batch", architecture.hidden])],
        [*constants, *(encode_external_floats(name, shape, _GIVEN_AT_LOAD) for name, shape in shapes.items())],
    )
    return encode_model(graph, {"": _OPSET, _FUSED: 1}, _IR_VERSION)


def _encoder(architecture: Architecture) -> tuple[list[NodeProto], str]:
    """The nodes, and the name of their output: float32 (batch, sequence, hidden)."""
    embeddings = ["embeddings.word", "embeddings.position", "", "embeddings.norm.weight", "embeddings.norm.bias"]
    nodes = [
        encode_node(
            "EmbedLayerNormalization",
            [INPUT_IDS, "", *embeddings, ATTENTION_MASK],
            ["embeddings", "lengths"],
            domain=_FUSED,
            epsilon=architecture.epsilon,
        )
    ]
    states = "embeddings"
    for layer in range(architecture.layers):
        nodes += _layer(f"layer.{layer}.", states, architecture)
        states = f"layer.{layer}.states"
    return nodes, states


def _layer(name: str, states: str, architecture: Architecture) -> list[NodeProto]:
    def fused(operator: str, inputs: list[str], output: str, **attributes: float) -> NodeProto:
        return encode_node(operator, inputs, [name + output], domain=_FUSED, **attributes)

    def matmul(left: str, right: str, output: str) -> NodeProto:
        return encode_node("MatMul", [name + left, f"{name}{right}.weight"], [name + output])

    def add_and_norm(part: str, added: str, to: str, output: str) -> NodeProto:
        inputs = [name + added, to, *(f"{name}{part}.{end}" for end in ("norm.weight", "norm.bias", "bias"))]
        return fused("SkipLayerNormalization", inputs, output, epsilon=architecture.epsilon)

    projection = [f"{name}attention.qkv.weight", f"{name}attention.qkv.bias"]
    return [
        fused("Attention", [states, *projection, "lengths"], "attended", num_heads=architecture.heads),
        matmul("attended", "attention.output", "projected"),
        add_and_norm("attention.output", "projected", states, "attention"),
        matmul("attention", "intermediate", "widened"),
        fused("BiasGelu", [f"{name}widened", f"{name}intermediate.bias"], "activated"),
        matmul("activated", "output", "narrowed"),
        add_and_norm("output", "narrowed", f"{name}attention", "states"),
    ]


def _mean(states: str) -> tuple[list[NodeProto], list[TensorProto]]:
    nodes = [
        encode_node("Cast", [ATTENTION_MASK], ["mask"], to=FLOAT),
        encode_node("Unsqueeze", ["mask", "axis"], ["mask_row"]),
        encode_node("MatMul", ["mask_row", states], ["sum_row"]),
        encode_node("Squeeze", ["sum_row", "axis"], ["pooled"]),
    ]
    return nodes, [encode_integers("axis", [1], [1])]


def _cls(states: str) -> tuple[list[NodeProto], list[TensorProto]]:
    node = encode_node("Gather", [states, "first"], ["pooled"], axis=1)
    return [node], [encode_integers("first", [], [0])]
