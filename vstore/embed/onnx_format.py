"""The part of the ONNX file format that a graph of ours needs, as pure functions from values to bytes.

An ONNX model is a protocol buffer: fields one after the other, each a tag (its number and how it is written) and a
value (https://protobuf.dev/programming-guides/encoding). The names and numbers of the fields are those of onnx.proto,
where ONNX defines them for good (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). The `onnx` package writes the
same models, but takes 28 MB of disk and 0.1 s to import; so it only judges this module, in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NewType

NodeProto = NewType("NodeProto", bytes)
TensorProto = NewType("TensorProto", bytes)
ValueInfoProto = NewType("ValueInfoProto", bytes)
GraphProto = NewType("GraphProto", bytes)

FLOAT: Final = 1  # TensorProto.DataType
INT32: Final = 6
INT64: Final = 7

_ATTRIBUTE_FLOAT: Final = 1  # AttributeProto.AttributeType
_ATTRIBUTE_INT: Final = 2
_EXTERNAL: Final = 1  # TensorProto.DataLocation

_FIELDS: Final[Mapping[str, Mapping[str, int]]] = {
    "AttributeProto": {"name": 1, "f": 2, "i": 3, "type": 20},
    "GraphProto": {"node": 1, "name": 2, "initializer": 5, "input": 11, "output": 12},
    "ModelProto": {"ir_version": 1, "graph": 7, "opset_import": 8},
    "NodeProto": {"input": 1, "output": 2, "op_type": 4, "attribute": 5, "domain": 7},
    "OperatorSetIdProto": {"domain": 1, "version": 2},
    "StringStringEntryProto": {"key": 1, "value": 2},
    "TensorProto": {"dims": 1, "data_type": 2, "int64_data": 7, "name": 8, "external_data": 13, "data_location": 14},
    "TensorShapeProto": {"dim": 1},
    "TensorShapeProto.Dimension": {"dim_value": 1, "dim_param": 2},
    "TypeProto": {"tensor_type": 1},
    "TypeProto.Tensor": {"elem_type": 1, "shape": 2},
    "ValueInfoProto": {"name": 1, "type": 2},
}

_VARINT: Final = 0  # wire types
_LENGTH_DELIMITED: Final = 2
_FIXED32: Final = 5

Value = int | float | str | bytes


def encode_model(graph: GraphProto, opsets: Mapping[str, int], ir_version: int) -> bytes:
    """A whole model file; `opsets` has the version of each domain of operators, "" being ONNX's own."""
    imports = [_message("OperatorSetIdProto", domain=domain, version=version) for domain, version in opsets.items()]
    return _message("ModelProto", ir_version=ir_version, graph=graph, opset_import=imports)


def encode_graph(
    name: str,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initialisers: Sequence[TensorProto],
) -> GraphProto:
    """The nodes in an order in which each finds its inputs computed, and the tensors known beforehand."""
    return GraphProto(
        _message("GraphProto", node=nodes, name=name, initializer=initialisers, input=inputs, output=outputs)
    )


def encode_node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str | None = None, **attributes: float
) -> NodeProto:
    """One call of an operator, of ONNX's own domain unless told otherwise; "" stands for an input left out."""
    encoded = [_attribute(name, value) for name, value in attributes.items()]
    fields = {} if domain is None else {"domain": domain}
    return NodeProto(_message("NodeProto", input=inputs, output=outputs, op_type=operator, attribute=encoded, **fields))


def encode_value_info(name: str, element: int, shape: Sequence[int | str]) -> ValueInfoProto:
    """An input or output of the graph: the type of its elements, and its shape, where a name means "any size"."""
    sizes = [
        _message("TensorShapeProto.Dimension", **{"dim_param" if isinstance(size, str) else "dim_value": size})
        for size in shape
    ]
    tensor = _message("TypeProto.Tensor", elem_type=element, shape=_message("TensorShapeProto", dim=sizes))
    return ValueInfoProto(_message("ValueInfoProto", name=name, type=_message("TypeProto", tensor_type=tensor)))


def encode_integers(name: str, shape: Sequence[int], values: Sequence[int]) -> TensorProto:
    """An int64 tensor with its values, row by row; the shape of a scalar is empty."""
    packed = b"".join(map(varint, values))
    return TensorProto(_message("TensorProto", dims=shape, data_type=INT64, int64_data=packed, name=name))


def encode_external_floats(name: str, shape: Sequence[int], location: str) -> TensorProto:
    """A float32 tensor whose values lie in the file `location`."""
    entry = _message("StringStringEntryProto", key="location", value=location)
    return TensorProto(
        _message("TensorProto", dims=shape, data_type=FLOAT, name=name, external_data=[entry], data_location=_EXTERNAL)
    )


def varint(value: int) -> bytes:
    """An int64: seven bits a byte, the lowest first, the eighth bit set on all but the last byte."""
    rest = value % 2**64  # negative numbers are written as their two's complement
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _attribute(name: str, value: float) -> bytes:
    if isinstance(value, float):
        return _message("AttributeProto", name=name, f=value, type=_ATTRIBUTE_FLOAT)
    return _message("AttributeProto", name=name, i=value, type=_ATTRIBUTE_INT)


def _message(kind: str, **fields: Value | Sequence[Value]) -> bytes:
    """The fields of a message, each under its number; a repeated field, given as a list, once for each element."""
    encoded = b""
    for name, value in fields.items():
        for element in [value] if isinstance(value, Value) else value:
            encoded += _field(_FIELDS[kind][name], element)
    return encoded


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | _FIXED32) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content
