"""Unpack the radio frame of a node: 12 bytes, big endian, checksum last."""

import struct
from dataclasses import dataclass

FRAME = struct.Struct(">BBHhHHBB")


class BadFrame(ValueError):
    """The checksum does not match or the length is wrong."""


@dataclass
class Reading:
    node: int
    kind: int
    counter: int
    temperature_c: float
    level_mm: int
    battery_mv: int


def decode(frame: bytes) -> Reading:
    if len(frame) != FRAME.size:
        raise BadFrame(f"{len(frame)} bytes instead of {FRAME.size}")
    node, kind, counter, centi, level, battery, _flags, checksum = FRAME.unpack(frame)
    if sum(frame[:-1]) % 256 != checksum:
        raise BadFrame(f"checksum {checksum:#04x} of node {node}")
    return Reading(node, kind, counter, centi / 100, level, battery)
