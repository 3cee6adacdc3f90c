"""MCP over a pipe: a line in, a line out. Nothing else gets into it, and the process ends when the client has gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO, Final

from vstore import config
from vstore.mcp.service import Service
from vstore.mcp.wire import Wire

_ENDS: Final = 256  # bytes of either end of a message that is too long: its id is in one of them


def claimed() -> tuple[BinaryIO, BinaryIO]:
    """The pipe, taken away from everybody else: from now on a print goes to stderr, and a read gets nothing."""
    wire_in, wire_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        os.dup2(nothing, 1)
    os.close(nothing)
    return wire_in, wire_out


def serve(service: Service, wire_in: BinaryIO, wire_out: BinaryIO) -> None:
    """Answer until the client closes its end; then give what was asked for a moment, and end the process."""
    lock = threading.Lock()

    def send(line: bytes) -> None:
        try:
            with lock:
                wire_out.write(line)
                wire_out.flush()
        except (OSError, ValueError):
            pass  # the client has gone: its end of the other pipe says so to the loop below

    wire = Wire(service, send)
    for line in lines(wire_in, config.MCP_MESSAGE_BYTES):
        if isinstance(line, bytes):
            wire.receive(line)
        else:
            wire.receive_part(*line)
    service.end(config.MCP_GRACE_S if wire.close(config.MCP_GRACE_S) else 0)


def lines(stream: BinaryIO, limit: int) -> Iterator[bytes | tuple[bytes, bytes]]:
    """Each line; of one with more bytes than the limit its first and its last ones, for it is not kept in memory."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        head = tail = line[:_ENDS]
        while not line.endswith(b"\n") and (line := stream.readline(2**16)):
            tail = (tail + line)[-_ENDS:]
        yield head, tail
