"""The picture of the local page is written with few colours, and those that are common stay what they are."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from bench.picture import few_colours


def decoded(png: bytes) -> np.ndarray:
    """The pixels of a PNG with a palette and no filters."""
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    assert len(palette) <= 256
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    return palette[rows[:, 1:]]


def test_an_image_of_few_colours_stays_as_it_is() -> None:
    image = np.array([[[251, 250, 248], [0, 1, 2]], [[0, 1, 2], [194, 106, 10]], [[9, 9, 9], [9, 9, 9]]], np.uint8)
    assert (decoded(few_colours(image)) == image).all()


def test_of_many_colours_the_common_one_stays_and_the_others_are_near() -> None:
    image = np.random.default_rng(7).integers(0, 64, (40, 50, 3)).astype(np.uint8)  # of 64 kinds, 1,000 colours
    image[:20] = (251, 250, 248)
    found = decoded(few_colours(image))
    assert (found[:20] == image[:20]).all()
    assert np.abs(found.astype(int) - image).max() <= 16
