"""From a safetensors file to the tensors of the graph: float32, merged and turned as the fused operators want them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from vstore.config import MAX_WEIGHTS_BYTES
from vstore.embed.architecture import Architecture
from vstore.errors import ModelDamagedError

if TYPE_CHECKING:
    from vstore.types import FloatArray

Read = Callable[..., "FloatArray"]


def read_weights(path: Path, architecture: Architecture) -> dict[str, FloatArray]:
    """Every tensor that the graph of this architecture needs, by the name it has there.

    Weights may be stored as float32, float16 or bfloat16. The segment embedding is added to the position embedding,
    because every text is segment 0. Raises ModelDamagedError when the file is no safetensors file, or lacks a tensor,
    or has one of another shape or type, or with NaN or infinite numbers.
    """
    check_size(path)
    try:
        with safe_open(path, framework="numpy") as tensors:
            return _tensors(_reader(path, tensors), architecture)
    except SafetensorError as error:
        raise ModelDamagedError(f"{path} is damaged ({error}); get the model again") from error


def check_size(path: Path) -> None:
    """Raise ModelDamagedError for a file that is too large to be read, or hashed."""
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ModelDamagedError(f"{path} has more than {MAX_WEIGHTS_BYTES:,} bytes; choose a smaller model")


def _tensors(read: Read, sizes: Architecture) -> dict[str, FloatArray]:
    hidden = sizes.hidden
    positions = read("embeddings.position_embeddings.weight", sizes.positions, hidden)
    segments = read("embeddings.token_type_embeddings.weight", sizes.token_types, hidden)
    found = {
        "embeddings.word": read("embeddings.word_embeddings.weight", sizes.vocabulary, hidden),
        "embeddings.position": positions + segments[0],
        "embeddings.norm.weight": read("embeddings.LayerNorm.weight", hidden),
        "embeddings.norm.bias": read("embeddings.LayerNorm.bias", hidden),
    }
    for layer in range(sizes.layers):
        found.update(_layer(read, f"encoder.layer.{layer}.", f"layer.{layer}.", sizes))
    return found


def _layer(read: Read, source: str, target: str, sizes: Architecture) -> dict[str, FloatArray]:
    hidden, wide = sizes.hidden, sizes.intermediate
    parts = [f"{source}attention.self.{part}" for part in ("query", "key", "value")]
    found = {
        "attention.qkv.weight": np.concatenate([read(f"{part}.weight", hidden, hidden).T for part in parts], axis=1),
        "attention.qkv.bias": np.concatenate([read(f"{part}.bias", hidden) for part in parts]),
    }
    for name, place, width, depth in (
        ("attention.output", "attention.output", hidden, hidden),
        ("intermediate", "intermediate", wide, hidden),
        ("output", "output", hidden, wide),
    ):
        found[f"{name}.weight"] = read(f"{source}{place}.dense.weight", width, depth).T
        found[f"{name}.bias"] = read(f"{source}{place}.dense.bias", width)
    for name in ("attention.output", "output"):
        found[f"{name}.norm.weight"] = read(f"{source}{name}.LayerNorm.weight", hidden)
        found[f"{name}.norm.bias"] = read(f"{source}{name}.LayerNorm.bias", hidden)
    return {target + name: np.ascontiguousarray(tensor) for name, tensor in found.items()}


def _reader(path: Path, tensors: Any) -> Read:
    def read(name: str, *shape: int) -> FloatArray:
        stored = tensors.get_slice(name)
        if tuple(stored.get_shape()) != shape:
            raise ModelDamagedError(f"{path}: {name} has the shape {stored.get_shape()}, not {list(shape)}")
        kind = stored.get_dtype()
        if kind not in ("F32", "F16", "BF16"):
            raise ModelDamagedError(f"{path}: {name} is stored as {kind}; save the model as float32")
        raw = _bfloat16(path, name, shape) if kind == "BF16" else tensors.get_tensor(name)
        tensor: FloatArray = raw.astype(np.float32, copy=False)
        if not np.isfinite(tensor).all():
            raise ModelDamagedError(f"{path}: {name} has numbers that are not finite; get the model again")
        return tensor

    return read


def _bfloat16(path: Path, name: str, shape: tuple[int, ...]) -> FloatArray:
    """A tensor of a type that numpy lacks: a bfloat16 is the upper half of a float32.

    The library has checked the header by now: 8 bytes with its length, JSON, then the tensors.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start, end = json.loads(file.read(length))[name]["data_offsets"]
        file.seek(8 + length + start)
        halves = np.frombuffer(file.read(end - start), dtype="<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)
