"""Copies of a store: whole, compact, checked, and readable by their owner only.

`VACUUM INTO` copies what one read transaction sees, so that writers neither disturb a copy nor wait for it, and what
was forgotten is in no byte of it: pages and cells that are free are not copied at all. (The backup API, in steps,
begins anew whenever another process writes.) A copy is not in WAL mode, so that it is one file, on any medium; the mode
comes back when it is opened as a store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from vstore import atomic, config
from vstore.db.connection import Database, run
from vstore.db.failures import translated
from vstore.db.sound import require_sound
from vstore.errors import InputError, StoreError
from vstore.paths import expanded


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that was made and checked: its file, bytes, what is in it, and the seconds it took."""

    path: Path
    bytes: int
    documents: int
    chunks: int
    seconds: float
    checks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "documents": self.documents,
            "chunks": self.chunks,
            "seconds": self.seconds,
            "checks": list(self.checks),
        }


def backup(database: Database, target: str | Path, *, overwrite: bool = False) -> BackupReport:
    """Copy a store into a new file, check the copy, and only then give it its name.

    A folder as `target` gets a file with the store's name and the time. Raises InputError when the file is there and
    `overwrite` is false or when it is a store in use, StoreError when it cannot be written, StoreDamagedError when the
    copy is not sound; then nothing is left of it, and a file that was to be overwritten is as it was.
    """
    started = time.monotonic()
    place = _place(database.path, expanded(target))
    connection = database.connection()
    if connection.in_transaction:
        raise StoreError(f"this thread is in the middle of reading {database.path}; back it up when that has ended")
    with atomic.appearing(place, overwrite=overwrite) as partial, translated(place):
        copy(connection, partial, place)
        documents, chunks, checks = _checked(partial)
        size = partial.stat().st_size
    return BackupReport(place, size, documents, chunks, time.monotonic() - started, checks)


def _place(own: Path, target: Path) -> Path:
    """The file to write. Raises InputError for the store itself, and for one that is in use."""
    place = atomic.dated(target, own.stem, ".db") if target.is_dir() else target
    if place == own or (place.exists() and place.samefile(own)):
        raise InputError(f"{place} is the store itself; give its backup another name")
    return place


def copy(connection: apsw.Connection, path: Path, place: Path) -> None:
    """Copy what a connection is connected to into an empty file, which errors call `place`.

    Raises StoreError; KeyboardInterrupt when Ctrl-C is pressed meanwhile.
    """
    with translated(place), interruptible(connection):
        run(connection, "VACUUM INTO ?", (str(path),))


@contextmanager
def interruptible(connection: apsw.Connection) -> Iterator[None]:
    """Let Ctrl-C end a statement, which Python hears of only when something of its own runs."""
    connection.set_progress_handler(lambda: False, config.COPY_OPCODES)
    try:
        yield
    finally:
        connection.set_progress_handler(None)


def _checked(path: Path) -> tuple[int, int, tuple[str, ...]]:
    """Documents and chunks of a copy, and what was checked. Raises StoreDamagedError when it is not sound."""
    checks = require_sound(path, "the copy was not kept; see what is wrong with the store: vstore check --deep")
    documents, chunks = contents(path)
    return documents, chunks, checks


def contents(path: Path) -> tuple[int, int]:
    """Documents and chunks of a file that nobody has open."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        ((documents,),) = run(connection, "SELECT count(*) FROM documents")
        ((chunks,),) = run(connection, "SELECT count(*) FROM chunks")
    return documents, chunks
