"""Weights are read only if they are exactly what the architecture needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embed import tiny

from vstore import embed, errors

Damage = Callable[[Path], None]


def with_tensor(name: str, value: np.ndarray | None) -> Damage:
    def damage(path: Path) -> None:
        tensors = tiny.weights()
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
        tiny.save_weights(path, tensors)

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def huge_header(path: Path) -> None:
    path.write_bytes((2**63).to_bytes(8, "little") + path.read_bytes()[8:])


def pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95" + bytes(500))


def doubles(path: Path) -> None:
    tiny.save_weights(path, tiny.weights(), "F64")


def overlapping(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"data_offsets": [448, ', b'"data_offsets": [440, ', 1))


BIAS = "encoder.layer.1.output.dense.bias"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (with_tensor(BIAS, np.full(8, np.nan, np.float32)), f"{BIAS} has numbers that are not finite"),
        (with_tensor(BIAS, np.full(8, np.inf, np.float32)), f"{BIAS} has numbers that are not finite"),
        (with_tensor(BIAS, np.zeros(9, np.float32)), r"has the shape \[9\], not \[8\]"),
        (with_tensor(BIAS, None), BIAS),
        (cut, "is damaged"),
        (empty, "is damaged"),
        (huge_header, "is damaged"),
        (pickle, "is damaged"),
        (overlapping, "is damaged"),
        (doubles, "stored as F64"),
    ],
    ids=["nan", "inf", "shape", "absent", "cut", "empty", "huge-header", "pickle", "overlapping", "doubles"],
)
def test_damaged_weights_are_refused_with_the_reason(tmp_path: Path, damage: Damage, message: str) -> None:
    folder = tiny.make_folder(tmp_path / "model")
    damage(folder / "model.safetensors")
    model = embed.load(str(folder))
    with pytest.raises(errors.ModelDamagedError, match=message):
        model.embed_documents(["cat"])
