"""The BERT encoder as an ONNX graph of fused operators, without its weights.

The operators (domain com.microsoft) are documented in ONNX Runtime's docs/ContribOperators.md. The graph has a few
kilobytes: weights are handed to the session straight from the safetensors file, so no second copy of them lies on the
disk. It is cached because importing `onnx` to write it takes as long as reading the weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vstore.config import GRAPH_VERSION
from vstore.embed.architecture import Architecture
from vstore.embed.cache import write_atomically
from vstore.embed.registry import Pooling

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

Shapes = Mapping[str, tuple[int, ...]]

logger = logging.getLogger(__name__)

INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"

_FUSED: Final = "com.microsoft"
_OPSET: Final = 17
_IR_VERSION: Final = 8
_DIGEST_BYTES: Final = 32


def cached_graph(cache_dir: Path, architecture: Architecture, pooling: Pooling, shapes: Shapes) -> bytes:
    """The graph from the cache, or built and put there. A cached file starts with the sha256 of its graph."""
    sizes = json.dumps(asdict(architecture), sort_keys=True)
    key = hashlib.sha256(f"{GRAPH_VERSION} {pooling} {sizes}".encode()).hexdigest()
    path = cache_dir / "graphs" / f"{key[:32]}.graph"
    if path.is_file():
        content = path.read_bytes()
        digest, graph = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(graph).digest() == digest:
            return graph
    graph = build_graph(architecture, pooling, shapes)
    try:
        write_atomically(path, hashlib.sha256(graph).digest() + graph)
    except OSError as error:  # a read-only cache costs time at each start, but the model works
        logger.info("the graph cannot be kept in %s: %s", path, error)
    return graph


def build_graph(architecture: Architecture, pooling: Pooling, shapes: Shapes) -> bytes:
    """A serialised ONNX model with weights named and shaped as in `shapes`, whose data the session must be given.

    Inputs: int32 `input_ids` and `attention_mask` of shape (batch, sequence), padded on the right. Output: float32
    (batch, hidden), the pooled token states. Mean pooling gives their sum, which has the direction of their mean.
    """
    from onnx import TensorProto, helper

    encoder, states = _encoder(architecture)
    pool, constants = _mean(states) if pooling == "mean" else _cls(states)
    graph = helper.make_graph(
        [*encoder, *pool],
        "bert",
        [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "sequence"])
            for name in (INPUT_IDS, ATTENTION_MASK)
        ],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", architecture.hidden])],
        [*constants, *(_placeholder(name, shape) for name, shape in shapes.items())],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def _encoder(architecture: Architecture) -> tuple[list[NodeProto], str]:
    """The nodes, and the name of their output: float32 (batch, sequence, hidden)."""
    from onnx import helper

    embeddings = ["embeddings.word", "embeddings.position", "", "embeddings.norm.weight", "embeddings.norm.bias"]
    nodes = [
        helper.make_node(
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
    from onnx import helper

    def fused(operator: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
        return helper.make_node(operator, inputs, [name + output], domain=_FUSED, **attributes)

    def matmul(left: str, right: str, output: str) -> NodeProto:
        return helper.make_node("MatMul", [name + left, f"{name}{right}.weight"], [name + output])

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
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", [ATTENTION_MASK], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis"], ["mask_row"]),
        helper.make_node("MatMul", ["mask_row", states], ["sum_row"]),
        helper.make_node("Squeeze", ["sum_row", "axis"], ["pooled"]),
    ]
    return nodes, [helper.make_tensor("axis", TensorProto.INT64, [1], [1])]


def _cls(states: str) -> tuple[list[NodeProto], list[TensorProto]]:
    from onnx import TensorProto, helper

    node = helper.make_node("Gather", [states, "first"], ["pooled"], axis=1)
    return [node], [helper.make_tensor("first", TensorProto.INT64, [], [0])]


def _placeholder(name: str, shape: tuple[int, ...]) -> TensorProto:
    """An initialiser said to lie outside the model; the session replaces it before it would look for the file."""
    from onnx import StringStringEntryProto, TensorProto

    place = StringStringEntryProto(key="location", value="given-at-load")
    return TensorProto(
        name=name,
        dims=shape,
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
        external_data=[place],
    )
