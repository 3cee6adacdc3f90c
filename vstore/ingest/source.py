"""Open files without being caught: by devices, pipes, or sizes that were not announced."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, Final

from vstore.config import MAX_FILE_BYTES
from vstore.ingest.parsed import Unreadable

# without O_NONBLOCK a pipe would block when it is opened, before it can be recognised as one
_FLAGS: Final = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY"))


@dataclass(frozen=True, slots=True)
class Source:
    """A file's bytes and when they were last changed, in UTC."""

    data: bytes
    modified_at: datetime


@contextmanager
def open_regular(path: Path, limit: int) -> Iterator[tuple[BinaryIO, datetime]]:
    """Open a file for reading, with the time of its last change. `path` must have no links, as after `Path.resolve`.

    Raises Unreadable for what is not a regular file, is larger than `limit` bytes, or may not be read; also for a link,
    which somebody must have put there since the path was resolved: it might lead anywhere.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        reason = "became a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise Unreadable(reason) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # here, because os.fdopen refuses a folder and leaves it open
        raise Unreadable("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > limit:
            raise Unreadable(f"larger than {limit:,} bytes")
        yield file, datetime.fromtimestamp(status.st_mtime, timezone.utc)


def _open(path: Path) -> int:
    """A descriptor of the file, reached without passing a link where the system can see to it."""
    if not hasattr(os, "O_PATH"):
        return os.open(path, _FLAGS)
    folder = os.open(path.anchor or ".", os.O_PATH | os.O_DIRECTORY)
    for name in path.relative_to(path.anchor).parts[:-1]:
        try:
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    try:
        return os.open(path.name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def load(path: Path) -> Source:
    """Read a whole file. Raises Unreadable as `open_regular` does; the limit is MAX_FILE_BYTES."""
    with open_regular(path, MAX_FILE_BYTES) as (file, modified_at):
        try:
            data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error
        if len(data) > MAX_FILE_BYTES:  # it grew, or is one of those that claim to be empty
            raise Unreadable(f"larger than {MAX_FILE_BYTES:,} bytes")
        return Source(data, modified_at)
