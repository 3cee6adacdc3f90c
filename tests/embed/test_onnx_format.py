"""What this writes, the onnx package reads: it is the judge of every message."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from vstore.embed import onnx_format

INT64 = st.integers(-(2**63), 2**63 - 1)
SIZES = st.lists(st.integers(0, 2**63 - 1), max_size=4)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)  # longer than 127 bytes: two for the length
FIELD_1_VARINT = b"\x08"


def read(kind: type[Message], encoded: bytes) -> Any:
    message = kind.FromString(encoded)
    assert message.SerializeToString(deterministic=True) == encoded, "no unknown fields, none twice, in order"
    return message


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (-1, "ffffffffffffffffff01")],
)
def test_varints_by_hand(value: int, encoded: str) -> None:
    assert onnx_format.varint(value).hex() == encoded


@given(INT64)
def test_protobuf_reads_every_varint(value: int) -> None:
    assert Int64Value.FromString(FIELD_1_VARINT + onnx_format.varint(value)).value == value


@given(
    operator=NAMES,
    inputs=st.lists(NAMES, max_size=4),
    domain=st.none() | NAMES,
    whole=INT64,
    fraction=st.floats(width=32, allow_nan=False),
)
def test_nodes(operator: str, inputs: list[str], domain: str | None, whole: int, fraction: float) -> None:
    """The names of attributes are in the alphabet's order here because the onnx package sorts them."""
    encoded = onnx_format.encode_node(operator, inputs, ["out", "more"], domain=domain, fraction=fraction, whole=whole)
    expected = helper.make_node(operator, inputs, ["out", "more"], domain=domain, fraction=fraction, whole=whole)
    assert read(onnx.NodeProto, encoded) == expected


@given(name=NAMES, shape=st.lists(st.integers(0, 2**63 - 1) | NAMES, max_size=4))
def test_inputs_and_outputs(name: str, shape: list[int | str]) -> None:
    encoded = onnx_format.encode_value_info(name, onnx_format.INT32, shape)
    assert read(onnx.ValueInfoProto, encoded) == helper.make_tensor_value_info(name, TensorProto.INT32, shape)


@given(name=NAMES, values=st.lists(INT64, min_size=1, max_size=40))
def test_integer_tensors(name: str, values: list[int]) -> None:
    encoded = onnx_format.encode_integers(name, [len(values)], values)
    assert read(TensorProto, encoded) == helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def test_a_scalar_has_no_dimensions() -> None:
    assert read(TensorProto, onnx_format.encode_integers("first", [], [7])) == helper.make_tensor(
        "first", TensorProto.INT64, [], [7]
    )


@given(name=NAMES, shape=SIZES, location=NAMES)
def test_tensors_outside_the_model(name: str, shape: list[int], location: str) -> None:
    tensor = read(TensorProto, onnx_format.encode_external_floats(name, shape, location))
    assert (tensor.name, list(tensor.dims), tensor.data_type) == (name, shape, TensorProto.FLOAT)
    assert tensor.data_location == TensorProto.EXTERNAL
    assert [(entry.key, entry.value) for entry in tensor.external_data] == [("location", location)]


def test_a_whole_model() -> None:
    """One node, one input, one constant: y = x + 2 over a vector of any length."""
    value = onnx_format.encode_value_info
    graph = onnx_format.encode_graph(
        "sum",
        [onnx_format.encode_node("Add", ["x", "two"], ["y"])],
        [value("x", onnx_format.INT64, ["n"])],
        [value("y", onnx_format.INT64, ["n"])],
        [onnx_format.encode_integers("two", [], [2])],
    )
    model = read(onnx.ModelProto, onnx_format.encode_model(graph, {"": 17}, 8))
    onnx.checker.check_model(model, full_check=True)
    assert model == helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "two"], ["y"])],
            "sum",
            [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
            [helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])],
            [helper.make_tensor("two", TensorProto.INT64, [], [2])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
